/** The HTML page that shows and verifies `json`, the text that `trail.export` gives. A VerifyError `bundle_malformed` for any other. */
declare function evidencePage(json: string): Promise<string>;

export { evidencePage };
