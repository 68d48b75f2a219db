// What reading and writing an archive asks of the place that it lies in. Paths are relative, with `/`.

/** Reads an archive. Nothing that it returns is trusted. */
export interface ArchiveFiles {
  /** For messages. */
  readonly name: string
  /** The bytes of a file, undefined when there is none. A VerifyError `archive_file` for one of more than `maxBytes` or that is no plain file, a StoreError `io` when it cannot be read now. */
  read(path: string, maxBytes: number): Promise<Uint8Array | undefined>
  /** Names in a folder, `''` for the archive's own; none when it is not there. */
  names(path: string): Promise<string[]>
}

/** Writes one. A file is there whole or not at all, whenever the process or the machine stops. */
export interface WritableArchive extends ArchiveFiles {
  /** Writes a file unless it holds these bytes already; says whether it did. On disk, under its name, after `sync`. */
  write(path: string, bytes: Uint8Array): Promise<boolean>
  /** Removes a file, or a folder with what is in it; nothing when it is not there. */
  remove(path: string): Promise<void>
  /** Resolves when everything written so far would survive a power cut. */
  sync(): Promise<void>
}
