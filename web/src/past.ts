// Requests that are over: those that the daemon has in memory, or those of its history, which outlive it.

import type { Daemon } from "./api";
import type { Past } from "./types";

export type Source = "memory" | "history";

export interface Listed {
  rows: Past[];
  /** Where the next page begins; null: this is the last. */
  next: string | null;
}

/** A row of GET /wharf/history/requests. */
export interface Kept {
  id: number;
  arrived: string;
  model: string | null;
  class: string;
  path: string;
  status: number | null;
  ended: string;
  key: string | null;
  waited_ms: number | null;
  load_ms: number | null;
  first_byte_ms: number | null;
  total_ms: number | null;
  input_tokens: number | null;
  output_tokens: number | null;
}

export function pastOf(k: Kept): Past {
  const total = k.total_ms ?? 0;
  const streamed = total - (k.first_byte_ms ?? total);
  const metadata: Record<string, string> = { class: k.class };
  if (k.key !== null) metadata["key"] = k.key;
  if (k.load_ms !== null) metadata["loading_ms"] = String(k.load_ms);
  if (k.first_byte_ms !== null) metadata["first_ms"] = String(k.first_byte_ms);
  return {
    id: k.id, timestamp: k.arrived, model: k.model ?? "", req_path: k.path, resp_status_code: k.status ?? 0,
    tokens: { input_tokens: k.input_tokens ?? -1, output_tokens: k.output_tokens ?? -1, prompt_per_second: -1,
      tokens_per_second: k.output_tokens && streamed > 0 ? (k.output_tokens * 1000) / streamed : -1 },
    duration_ms: total, has_capture: false, metadata, waited_ms: k.waited_ms ?? -1, ended: k.ended,
  };
}

/** A page, the newest first; `at` is null for the first, and else the `next` of the one before. */
export async function list(daemon: Daemon, source: Source, model: string, at: string | null, limit: number): Promise<Listed> {
  const about = model ? `&model=${encodeURIComponent(model)}` : "";
  if (source === "history") {
    const from = at === null ? "" : `&after=${encodeURIComponent(at)}`;
    const answer = await daemon.json<{ requests: Kept[]; next: string | number | null }>(
      `wharf/history/requests?order=desc&limit=${limit}${about}${from}`);
    return { rows: answer.requests.map(pastOf), next: answer.next === null ? null : String(answer.next) };
  }
  const page = Number(at ?? 1);
  const answer = await daemon.json<{ data: Past[] | null; total_pages: number }>(
    `api/metrics/activity?limit=${limit}&page=${page}&order=desc${about}`);
  return { rows: answer.data ?? [], next: page < answer.total_pages ? String(page + 1) : null };
}

export async function everything(daemon: Daemon, source: Source, model: string, most: number): Promise<Past[]> {
  const rows: Past[] = [];
  for (let at: string | null = null; rows.length < most;) {
    const page: Listed = await list(daemon, source, model, at, 500);
    rows.push(...page.rows);
    if (page.next === null) break;
    at = page.next;
  }
  return rows.slice(0, most);
}
