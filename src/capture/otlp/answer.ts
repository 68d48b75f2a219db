// What an exporter is answered: an ExportTraceServiceResponse or ExportLogsServiceResponse, or for errors a google.rpc.Status.

import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import { utf8 } from '../../base/bytes.ts'
import type { Encoding, Signal, Taken } from './intake.ts'

/** The answer to an export, in its own encoding. Without anything refused it is empty, which says that all was taken. */
export function formatOtlpAnswer(signal: Signal, encoding: Encoding, { refused, fault = '' }: Pick<Taken, 'refused' | 'fault'>): Uint8Array<ArrayBuffer> {
  if (encoding === 'protobuf') {
    const writer = new BinaryWriter()
    if (refused > 0) writer.tag(1, WireType.LengthDelimited).fork().tag(1, WireType.Varint).int64(refused).tag(2, WireType.LengthDelimited).string(fault).join()
    return writer.finish()
  }
  const counted = signal === 'traces' ? { rejectedSpans: String(refused) } : { rejectedLogRecords: String(refused) }
  return utf8(JSON.stringify(refused === 0 ? {} : { partialSuccess: { ...counted, errorMessage: fault } })) as Uint8Array<ArrayBuffer>
}

/** A google.rpc.Status that says what was wrong with the request: code 3, INVALID_ARGUMENT. */
export function formatOtlpStatus(message: string): Uint8Array<ArrayBuffer> {
  return new BinaryWriter().tag(1, WireType.Varint).int32(3).tag(2, WireType.LengthDelimited).string(message.toWellFormed()).finish()
}
