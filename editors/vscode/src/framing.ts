/**
 * LSP's framing: messages of JSON, each behind a header with its length in bytes.
 * Source: LSP 3.18, "Base Protocol".
 */

/** The longest header and the longest message that are read; `hearth lsp` has the same limit. */
const HEADER_MAX = 4096;
const MESSAGE_MAX = 64 * 1024 * 1024;

/** One message as it goes over the wire. */
export function frame(message: unknown): Buffer {
  const body = Buffer.from(JSON.stringify(message), "utf8");
  return Buffer.concat([Buffer.from(`Content-Length: ${body.length}\r\n\r\n`, "ascii"), body]);
}

/** Takes bytes in pieces of any size and gives whole messages. After a throw nothing more can be read. */
export class Unframer {
  private chunks: Buffer[] = [];
  private held = 0;
  private needed = -1;

  /** The messages that `chunk` completes. Throws on a header without a length, on too much, and on what is no JSON. */
  push(chunk: Buffer): unknown[] {
    this.chunks.push(chunk);
    this.held += chunk.length;
    const messages: unknown[] = [];
    for (;;) {
      if (this.needed < 0 && !this.readHeader()) break;
      if (this.held < this.needed) break;
      const all = this.joined();
      const body = all.subarray(0, this.needed);
      this.keep(all.subarray(this.needed));
      this.needed = -1;
      messages.push(JSON.parse(body.toString("utf8")));
    }
    return messages;
  }

  private readHeader(): boolean {
    if (this.held === 0) return false;
    const all = this.joined();
    const end = all.indexOf("\r\n\r\n");
    if (end < 0 ? all.length > HEADER_MAX : end > HEADER_MAX) throw new Error("a header is too long");
    if (end < 0) return false;
    const match = /^Content-Length:[ \t]*(\d{1,9})[ \t]*$/im.exec(all.subarray(0, end).toString("ascii"));
    if (!match) throw new Error("a header has no Content-Length");
    const length = Number(match[1]);
    if (length > MESSAGE_MAX) throw new Error(`a message of ${length} bytes is too long`);
    this.needed = length;
    this.keep(all.subarray(end + 4));
    return true;
  }

  /** Joins pieces only when they are looked at: a long message in many pieces is copied once. */
  private joined(): Buffer {
    if (this.chunks.length !== 1) this.chunks = [Buffer.concat(this.chunks)];
    return this.chunks[0];
  }

  private keep(rest: Buffer): void {
    this.chunks = rest.length ? [rest] : [];
    this.held = rest.length;
  }
}
