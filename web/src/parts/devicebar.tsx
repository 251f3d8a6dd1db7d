import { bytes, percent } from "../format";
import type { Device, Model } from "../types";
import { colourOf } from "./colours";

interface Segment {
  key: string;
  label: string;
  bytes: number;
  look: string;
}

/** What the model has on the device: as its processes were seen, else as it is counted. */
function weight(device: Device, model: Model): number {
  const seen = (device.processes ?? []).reduce((sum, p) => sum + (p.model === model.id ? p.bytes : 0), 0);
  return seen || model.footprint_bytes || 0;
}

export function segmentsOf(device: Device, models: readonly Model[]): Segment[] {
  const here = models.filter((m) => m.devices.includes(device.name) && m.state !== "unloaded");
  const weights = here.map((m) => weight(device, m));
  const sum = weights.reduce((a, b) => a + b, 0);
  // What models are charged with is known; how it divides among them may be a guess.
  const share = sum > 0 && device.own_bytes > 0 ? device.own_bytes / sum : 1;
  const segments: Segment[] = here.map((m, i) => ({
    key: `model-${m.id}`,
    label: m.state === "loaded" ? m.id : `${m.id} (${m.state})`,
    bytes: (weights[i] ?? 0) * share,
    look: `colour-${colourOf(m.id)}`,
  }));
  const rest = device.own_bytes - segments.reduce((a, s) => a + s.bytes, 0);
  const free = device.room_bytes ?? 0;
  const taken = device.own_bytes + device.leased_bytes + device.settling_bytes + (device.foreign_bytes ?? 0);
  const reserve = device.total_bytes === null ? 0 : device.total_bytes - taken - free;
  segments.push(
    { key: "own", label: "other models", bytes: here.length ? 0 : rest, look: "colour-none" },
    { key: "leased", label: "leased", bytes: device.leased_bytes, look: "leased" },
    { key: "foreign", label: "foreign", bytes: device.foreign_bytes ?? 0, look: "foreign" },
    { key: "settling", label: "settling", bytes: device.settling_bytes, look: "settling" },
    { key: "free", label: "free", bytes: free, look: "free" },
    { key: "reserve", label: "reserve", bytes: reserve, look: "reserve" },
  );
  return segments.filter((s) => s.bytes > 1024 * 1024);
}

function Gauges({ device }: { device: Device }) {
  const parts = [
    device.utilisation_percent === null ? "" : `${device.utilisation_percent} % busy`,
    device.temperature_c === null ? "" : `${device.temperature_c} °C`,
    device.power_w === null ? "" : `${Math.round(device.power_w)} W`,
  ].filter(Boolean);
  return parts.length ? <span class="quiet">{parts.join(" · ")}</span> : null;
}

export function DeviceBar({ device, models }: { device: Device; models: readonly Model[] }) {
  const total = device.total_bytes;
  const segments = segmentsOf(device, models);
  const said = segments.map((s) => `${s.label} ${bytes(s.bytes)}`).join(", ");
  return (
    <section class="card device" aria-label={`Device ${device.name}`}>
      <header class="spread">
        <h3>{device.name}</h3>
        <Gauges device={device} />
        <span class="numbers">
          <strong>{bytes(device.used_bytes)}</strong> of {bytes(total)} used
        </span>
      </header>
      {!device.present && <p class="bad">This device is not there.</p>}
      {device.degraded && <p class="bad">{device.degraded}</p>}
      {total ? (
        <div class="bar" role="img" aria-label={`Memory of ${device.name}: ${said}`}>
          {segments.map((s) => (
            <span key={s.key} class={`segment ${s.look}`} style={{ flexGrow: String(percent(s.bytes, total)) }}
              title={`${s.label}: ${bytes(s.bytes)}`}>
              <span>{s.label}</span>
            </span>
          ))}
        </div>
      ) : <p class="quiet">How much memory it has is not known.</p>}
      <ul class="legend">
        {segments.map((s) => (
          <li key={s.key}><i class={`swatch ${s.look}`} />{s.label} <b>{bytes(s.bytes)}</b></li>
        ))}
      </ul>
    </section>
  );
}
