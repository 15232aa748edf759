/** JSON-RPC 2.0 over a pair of streams: requests with cancellation, notifications, and the peer's own requests. */
import type { Readable, Writable } from "stream";
import { frame, Unframer } from "./framing";

/** Codes of LSP 3.18 that tell a client to show nothing. */
const QUIET_CODES = new Set([-32800, -32801, -32802]);

export class RpcError extends Error {
  constructor(
    readonly code: number,
    message: string,
  ) {
    super(message);
  }

  /** The request was cancelled or overtaken: nobody waits for its answer any more. */
  get quiet(): boolean {
    return QUIET_CODES.has(this.code);
  }
}

/** What `vscode.CancellationToken` has; so that this file needs no editor. */
export interface Cancellation {
  readonly isCancellationRequested: boolean;
  onCancellationRequested(listener: () => void): { dispose(): void };
}

export type Params = Record<string, unknown>;
type Handler = (params: any) => unknown;

interface Message {
  id?: number | string | null;
  method?: string;
  params?: unknown;
  result?: unknown;
  error?: { code: number; message: string };
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

export class Rpc {
  private readonly unframer = new Unframer();
  private readonly waiting = new Map<number, Waiting>();
  private readonly requests = new Map<string, Handler>();
  private readonly notifications = new Map<string, Handler>();
  private nextId = 1;
  private closed = false;

  /** `onBroken` is called once if the peer sends what cannot be read; the connection is closed by then. */
  constructor(
    input: Readable,
    private readonly output: Writable,
    private readonly onBroken: (reason: Error) => void,
  ) {
    input.on("data", (chunk: Buffer) => this.read(chunk));
    input.on("error", () => this.close());
    output.on("error", () => this.close());
  }

  onRequest(method: string, handler: Handler): void {
    this.requests.set(method, handler);
  }

  onNotification(method: string, handler: Handler): void {
    this.notifications.set(method, handler);
  }

  notify(method: string, params: Params = {}): void {
    this.send({ method, params });
  }

  /** Rejects with an `RpcError`; the request is cancelled at the peer when `token` is. */
  request<T>(method: string, params: Params = {}, token?: Cancellation): Promise<T> {
    if (this.closed) return Promise.reject(new RpcError(-32099, "hearth is not running"));
    if (token?.isCancellationRequested) return Promise.reject(new RpcError(-32800, "cancelled"));
    const id = this.nextId++;
    return new Promise<T>((resolve, reject) => {
      const listener = token?.onCancellationRequested(() => this.notify("$/cancelRequest", { id }));
      this.waiting.set(id, {
        resolve: (value) => {
          listener?.dispose();
          resolve(value as T);
        },
        reject: (error) => {
          listener?.dispose();
          reject(error);
        },
      });
      this.send({ id, method, params });
    });
  }

  /** Every request that still waits is rejected; nothing is sent any more. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    for (const one of this.waiting.values()) one.reject(new RpcError(-32099, "hearth has ended"));
    this.waiting.clear();
  }

  private send(message: Message): void {
    if (this.closed || !this.output.writable) return;
    this.output.write(frame({ jsonrpc: "2.0", ...message }));
  }

  private read(chunk: Buffer): void {
    if (this.closed) return;
    let messages: unknown[];
    try {
      messages = this.unframer.push(chunk);
    } catch (error) {
      this.close();
      this.onBroken(error as Error);
      return;
    }
    for (const message of messages) this.take(message as Message);
  }

  private take(message: Message): void {
    if (typeof message !== "object" || message === null) return;
    if (typeof message.method === "string") {
      if (message.id === undefined || message.id === null) this.notifications.get(message.method)?.(message.params);
      else void this.answer(message.id, message.method, message.params);
      return;
    }
    if (typeof message.id !== "number") return;
    const waiting = this.waiting.get(message.id);
    if (!waiting) return;
    this.waiting.delete(message.id);
    if (message.error) waiting.reject(new RpcError(Number(message.error.code), String(message.error.message)));
    else waiting.resolve(message.result);
  }

  private async answer(id: number | string, method: string, params: unknown): Promise<void> {
    const handler = this.requests.get(method);
    if (!handler) {
      this.send({ id, error: { code: -32601, message: `no method ${method}` } });
      return;
    }
    try {
      this.send({ id, result: (await handler(params)) ?? null });
    } catch (error) {
      this.send({ id, error: { code: -32603, message: String(error) } });
    }
  }
}
