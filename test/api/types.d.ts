/** Whatever model calls can be recorded to: a Trail or a Session. */
interface ModelCallSource {
    llm(call: never, run: never, read: never): Promise<unknown>;
}

export type { ModelCallSource };
