// How things stand, kept current by the daemon's events. Nothing here knows of a document, so that
// the cost of many open pages can be measured without them (bench/web.mjs).

import { signal } from "@preact/signals";
import { ApiError, serverEvents, type Daemon } from "./api";
import type { Mode, Queue, Status, WharfEvent } from "./types";

export type Connection = "connecting" | "live" | "lost" | "paused";

const NO_QUEUE: Queue = { queue: [], leases: [] };
/** Events that come together are told together (`every`), and answered with one refresh. */
const TOGETHER_MS = 250;
/** A few refreshes may follow each other as fast; a stream of events has one every so often. */
const BURST = 3;
const REFILL_MS = 2000;
/** Without events: measurements change, and so do the times that are left. */
const IDLE_MS = 5000;
const RETRY_MS = [500, 1000, 2000, 4000, 8000];

export class Live {
  readonly connection = signal<Connection>("connecting");
  readonly status = signal<Status | null>(null);
  readonly queue = signal<Queue>(NO_QUEUE);
  readonly mode = signal<Mode | null>(null);
  /** When status and queue were as they are, by Date.now(). */
  readonly at = signal(0);
  readonly problem = signal("");

  private readonly listeners = new Set<(event: WharfEvent) => void>();
  private lastId = "";
  private abort: AbortController | null = null;
  private wake: () => void = () => {};
  private timer: ReturnType<typeof setTimeout> | undefined;
  private due = Infinity;
  private tokens = BURST;
  private refilled = Date.now();
  private refreshing: Promise<void> | null = null;
  private modeIsOld = true;

  constructor(private readonly daemon: Daemon) {}

  /** Told of each event; returns what ends that. */
  listen(listener: (event: WharfEvent) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  start(): void {
    if (this.abort) return;
    this.abort = new AbortController();
    this.connection.value = "connecting";
    void this.run(this.abort.signal);
  }

  /** Nothing is asked for until the next start, which resumes behind the last event. */
  pause(): void {
    this.abort?.abort();
    this.abort = null;
    clearTimeout(this.timer);
    this.due = Infinity;
    this.connection.value = "paused";
    this.wake();
  }

  /** With another key: what was asked with the one before is of no interest any more. */
  restart(): void {
    this.abort?.abort();
    this.abort = null;
    this.wake();
    this.start();
  }

  /** In place of waiting for the next try. */
  retry(): void {
    if (this.abort) this.wake();
    else this.start();
  }

  private async run(signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted; failures++) {
      try {
        await this.follow(signal, () => (failures = 0));
        if (!signal.aborted) this.connection.value = "lost";
      } catch (error) {
        if (signal.aborted) return;
        this.problem.value = error instanceof ApiError ? error.message : "the daemon does not answer";
        this.connection.value = "lost";
      }
      if (signal.aborted) return;
      clearTimeout(this.timer);
      this.due = Infinity;
      const pause = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)] ?? 8000;
      // Pages that lost the same daemon do not all come back at the same moment.
      await this.sleep(pause * (0.75 + Math.random() / 2));
    }
  }

  private sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  private async follow(signal: AbortSignal, onOpen: () => void): Promise<void> {
    const headers: Record<string, string> = this.lastId ? { "Last-Event-ID": this.lastId } : {};
    const answer = await this.daemon.ask(`wharf/events?every=${TOGETHER_MS}`, {
      headers: { ...headers, Accept: "text/event-stream" },
      signal,
    });
    onOpen();
    this.modeIsOld = true;
    await this.refresh();
    if (signal.aborted) return;
    this.connection.value = "live";
    this.problem.value = "";
    for await (const event of serverEvents(answer)) {
      if (event.id) this.lastId = event.id;
      if (event.type !== "gap") this.tell(JSON.parse(event.data) as WharfEvent);
      this.soon();
    }
  }

  private tell(event: WharfEvent): void {
    if (event.type.startsWith("mode_") || event.type === "config_reloaded") this.modeIsOld = true;
    for (const listener of this.listeners) listener(event);
  }

  private soon(): void {
    const now = Date.now();
    this.tokens = Math.min(BURST, this.tokens + (now - this.refilled) / REFILL_MS);
    this.refilled = now;
    // Events were gathered by the daemon already: those of one piece are read in one go.
    this.arm(this.tokens >= 1 ? 30 : (1 - this.tokens) * REFILL_MS);
  }

  private arm(ms: number): void {
    if (Date.now() + ms >= this.due) return;
    clearTimeout(this.timer);
    this.due = Date.now() + ms;
    this.timer = setTimeout(() => {
      this.due = Infinity;
      this.tokens = Math.max(0, this.tokens - 1);
      void this.refresh().catch(() => {});
    }, ms);
  }

  /** Asks how things stand now. */
  refresh(): Promise<void> {
    this.refreshing ??= this.ask().finally(() => {
      this.refreshing = null;
      if (this.abort) this.arm(IDLE_MS);
    });
    return this.refreshing;
  }

  private async ask(): Promise<void> {
    const status = await this.daemon.json<Status>("wharf/status");
    const somebody = status.waiting + status.leases + status.leases_waiting > 0;
    const queue = somebody ? await this.daemon.json<Queue>("wharf/queue?limit=200") : NO_QUEUE;
    if (this.modeIsOld || this.mode.value?.mode !== status.mode) {
      this.mode.value = await this.daemon.json<Mode>("wharf/mode");
      this.modeIsOld = false;
    }
    this.status.value = status;
    this.queue.value = queue;
    this.at.value = Date.now();
  }
}
