// What an exporter is answered: an ExportTraceServiceResponse or ExportLogsServiceResponse, or for errors a google.rpc.Status.

import { utf8 } from '../../base/bytes.ts'
import type { Encoding, Signal, Taken } from './intake.ts'
import { bytesField, varintField } from './wire.ts'

/** The answer to an export, in its own encoding. Without anything refused it is empty, which says that all was taken. */
export function formatOtlpAnswer(signal: Signal, encoding: Encoding, { refused, fault = '' }: Pick<Taken, 'refused' | 'fault'>): Uint8Array<ArrayBuffer> {
  if (encoding === 'protobuf') return Uint8Array.from(refused === 0 ? [] : bytesField(1, [...varintField(1, BigInt(refused)), ...bytesField(2, fault.toWellFormed())]))
  const counted = signal === 'traces' ? { rejectedSpans: String(refused) } : { rejectedLogRecords: String(refused) }
  return utf8(JSON.stringify(refused === 0 ? {} : { partialSuccess: { ...counted, errorMessage: fault } })) as Uint8Array<ArrayBuffer>
}

/** A google.rpc.Status that says what was wrong with the request: code 3, INVALID_ARGUMENT. */
export function formatOtlpStatus(message: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from([...varintField(1, 3n), ...bytesField(2, message.toWellFormed())])
}
