/** Keeps one child process running: starts it again with growing pauses, gives up on one that only crashes. */
import type { ChildProcess } from "child_process";

export type ProcessState = "stopped" | "running" | "waiting" | "failed";

export interface SupervisorOptions {
  /** Starts the child. A throw counts as a crash. */
  spawn(): ChildProcess;
  /** Called with each child that was started, before anything is read from it. */
  started(child: ChildProcess): void;
  /** Called when a child has ended, whoever ended it. */
  ended(): void;
  /** Asks the child to end; it is killed if it does not. */
  askToEnd(): void;
  stateChanged(state: ProcessState, message: string): void;
  /** Lines that the child writes to its standard error. */
  log(line: string): void;
  /** The first pause before a restart and the longest one, in milliseconds: it doubles each time. */
  pauseMs?: number;
  pauseMaxMs?: number;
  /** A child that lived so long was healthy: pauses begin anew. */
  healthyMs?: number;
  /** So many crashes in a row, and it is left to the person. */
  crashesMax?: number;
  /** How long a child may take to end before SIGTERM, and again before SIGKILL. */
  graceMs?: number;
}

const LAST_LINES = 5;

export class Supervisor {
  state: ProcessState = "stopped";
  private child: ChildProcess | undefined;
  private timer: NodeJS.Timeout | undefined;
  private wanted = false;
  private crashes = 0;
  private lines: string[] = [];

  constructor(private readonly options: SupervisorOptions) {}

  start(): void {
    this.wanted = true;
    this.crashes = 0;
    this.launch();
  }

  /** Resolves when the child is gone. */
  async stop(): Promise<void> {
    this.wanted = false;
    clearTimeout(this.timer);
    const child = this.child;
    if (child) {
      const gone = new Promise<void>((resolve) => child.once("close", () => resolve()));
      const grace = this.options.graceMs ?? 2000;
      this.options.askToEnd();
      const term = setTimeout(() => child.kill("SIGTERM"), grace);
      const kill = setTimeout(() => child.kill("SIGKILL"), 2 * grace);
      await gone;
      clearTimeout(term);
      clearTimeout(kill);
    }
    this.set("stopped", "");
  }

  async restart(): Promise<void> {
    await this.stop();
    this.start();
  }

  private launch(): void {
    if (!this.wanted || this.child) return;
    this.lines = [];
    const begun = Date.now();
    let child: ChildProcess;
    try {
      child = this.options.spawn();
    } catch (error) {
      this.crashed(String(error), begun);
      return;
    }
    this.child = child;
    let problem = "";
    child.once("error", (error: NodeJS.ErrnoException) => {
      problem = error.code === "ENOENT" ? "the program is not there" : error.message;
      // A program that could not be started has no "close" of its own in every version of Node.
      if (child.pid === undefined) this.closed(child, begun, problem);
    });
    child.once("close", (code, signal) => this.closed(child, begun, problem || `ended with ${signal ?? code}`));
    this.readLines(child);
    if (child.pid === undefined) return;
    this.options.started(child);
    this.set("running", "");
  }

  private closed(child: ChildProcess, begun: number, reason: string): void {
    if (this.child !== child) return;
    this.child = undefined;
    this.options.ended();
    if (this.wanted) this.crashed([reason, ...this.lines].join("\n"), begun);
  }

  private crashed(reason: string, begun: number): void {
    if (Date.now() - begun >= (this.options.healthyMs ?? 30_000)) this.crashes = 0;
    this.crashes++;
    if (this.crashes >= (this.options.crashesMax ?? 5)) {
      this.wanted = false;
      this.set("failed", reason);
      return;
    }
    const pause = Math.min((this.options.pauseMs ?? 500) * 2 ** (this.crashes - 1), this.options.pauseMaxMs ?? 30_000);
    this.set("waiting", reason);
    this.timer = setTimeout(() => this.launch(), pause);
  }

  private readLines(child: ChildProcess): void {
    let rest = "";
    child.stderr?.on("data", (chunk: Buffer) => {
      const lines = (rest + chunk.toString("utf8")).split(/\r?\n/);
      rest = (lines.pop() ?? "").slice(-4096);
      for (const line of lines) {
        this.lines = [...this.lines, line].slice(-LAST_LINES);
        this.options.log(line);
      }
    });
  }

  private set(state: ProcessState, message: string): void {
    this.state = state;
    this.options.stateChanged(state, message);
  }
}
