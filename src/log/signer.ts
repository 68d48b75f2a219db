// Who signs a log where the private key is not in its key folder: a KMS, an HSM, another machine.

/**
 * A log's key that is kept elsewhere. `vkey` is its verifier key (`name+id+base64`, Ed25519), whose name is the log's origin. `sign` resolves with the
 * 64-byte Ed25519 signature of `message`, or rejects; it is asked once for each append, while the log is locked, and what it answers is verified.
 */
export interface Signer {
  readonly vkey: string
  sign(message: Uint8Array): Promise<Uint8Array>
}
