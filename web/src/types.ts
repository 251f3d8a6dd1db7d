// What the daemon answers, as far as the page reads it; docs/http.md has the whole.

export type ModelState =
  | "unloaded" | "loading" | "loaded" | "unloading" | "moving"
  | "suspending" | "suspended" | "resuming" | "error" | "stuck";

export interface Model {
  id: string;
  state: ModelState;
  placement: string | null;
  placements: string[];
  devices: string[];
  footprint_bytes: number | null;
  footprint_source: string;
  used_bytes: number | null;
  on_cpu: boolean | null;
  can_suspend: boolean;
  pinned: boolean;
  wish: string | null;
  class: string;
  in_flight: number;
  waiting: number;
  last_used_s: number | null;
  ttl_s: number | null;
  idle_unload_s: number | null;
  load_s: number | null;
  backend: string;
  backend_reason: string | null;
  reason: string | null;
  error: string | null;
  aliases: string[];
}

export interface DeviceProcess {
  pid: number;
  name: string;
  bytes: number;
  model: string | null;
  lease_name: string | null;
}

export interface Device {
  index: number;
  name: string;
  present: boolean;
  total_bytes: number | null;
  used_bytes: number | null;
  reserved_bytes: number | null;
  own_bytes: number;
  leased_bytes: number;
  settling_bytes: number;
  foreign_bytes: number | null;
  room_bytes: number | null;
  loading: string | null;
  utilisation_percent: number | null;
  temperature_c: number | null;
  power_w: number | null;
  power_limit_w: number | null;
  processes: DeviceProcess[] | null;
  degraded: string | null;
}

export interface Degradation {
  what: string;
  name: string | null;
  reason: string;
  since_s: number;
}

export interface Status {
  version: string;
  commit: string;
  uptime_s: number;
  state: string;
  scheduler: string;
  planner: string;
  mode: string;
  mode_reached: boolean;
  loaded: number;
  models: number;
  in_flight: number;
  waiting: number;
  leases: number;
  leases_waiting: number;
  degraded: string | null;
  degradations: Degradation[];
  model_list: Model[];
  devices: Device[];
}

export interface Waiter {
  model: string | null;
  lease: string | null;
  name: string | null;
  class: string;
  since_s: number;
  position: number;
  estimate_s: number | null;
  deadline_s: number | null;
  overdue: boolean;
  bytes: number | null;
  for: string | null;
}

export interface Lease {
  lease: string;
  name: string | null;
  state: string;
  class: string;
}

export interface Queue {
  queue: Waiter[];
  leases: Lease[];
}

export interface Mode {
  mode: string;
  reached: boolean;
  models: { model: string; wish: string; reached: boolean; why: string | null }[];
  modes: Record<string, Record<string, string>>;
}

export interface WharfEvent {
  id: number;
  time: string;
  type: string;
  details: Record<string, unknown>;
}

export interface Decision {
  time: string;
  type: string;
  model: string | null;
  lease?: string | null;
  lease_name?: string | null;
  for_model: string | null;
  for_lease?: string | null;
  for_lease_name?: string | null;
  by_model: string | null;
  reason: string | null;
  devices: string[];
  bytes: number | null;
  last_used_s: number | null;
  estimate_s: number | null;
  count: number;
  detail: string | null;
  candidates: Candidate[];
}

export interface Plan {
  class: string;
  verdict: "here" | "go" | "wait" | "blocked" | "never";
  why: string | null;
  devices: string[];
  bytes: number | null;
  seconds: number | null;
  leaves: { model: string | null; lease: string | null; action: string; bytes: number; busy: boolean }[];
  room: { device: string; total_bytes: number | null; room_bytes: number | null }[];
  detail?: string | null;
}

export interface Candidate {
  model: string;
  bytes: number;
  busy: boolean;
  pinned: boolean;
  reload_s: number | null;
  last_used_s: number | null;
  next_percent: number;
}

export interface Timeline {
  now_ms: number;
  devices: string[];
  changes: { time_ms: number; model: string; state: ModelState; devices: string[]; bytes: number }[];
  samples: {
    time_ms: number;
    waiting: number;
    in_flight: number;
    devices: { used_bytes: number | null; utilisation_percent: number | null; power_w: number | null }[];
  }[];
}

export interface Past {
  id: number;
  timestamp: string;
  model: string;
  req_path: string;
  resp_status_code: number;
  tokens: { input_tokens: number; output_tokens: number; tokens_per_second: number; prompt_per_second: number };
  duration_ms: number;
  has_capture: boolean;
  error_msg?: string;
  metadata?: Record<string, string>;
  waited_ms: number;
  ended: string;
}

export interface InFlight {
  id: string;
  timestamp: string;
  model: string;
  req_path: string;
  remote_ip: string;
  resp_bytes: number;
  elapsed_ms: number;
  waited_ms: number;
  first_ms: number;
  metadata?: Record<string, string>;
}
