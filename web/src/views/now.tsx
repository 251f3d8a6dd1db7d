import { useState } from "preact/hooks";
import { attempt, daemon, href, live, now, tell } from "../app";
import { bytes, count, seconds, UNKNOWN } from "../format";
import { Badge, Button, Empty, Pick, Scroll } from "../parts/basics";
import { colourOf } from "../parts/colours";
import { DeviceBar } from "../parts/devicebar";
import type { Model, Waiter } from "../types";

/** Seconds since what is shown was so. */
function age(): number {
  return Math.max(0, (now.value - live.at.value) / 1000);
}

function order(model: Model, what: string, query = ""): Promise<boolean> {
  return attempt(`${what} ${model.id}`, () =>
    daemon.ask(`wharf/models/${encodeURIComponent(model.id)}/${what}?wait=1${query}`, { method: "POST" }));
}

function Buttons({ model }: { model: Model }) {
  const { id, state } = model;
  const isThere = state === "loaded";
  return (
    <div class="buttons">
      {(state === "unloaded" || state === "error") && (
        <Button kind="main" label={`Load ${id}`} onClick={() => order(model, "load")}>Load</Button>)}
      {(isThere || state === "suspended" || state === "loading") && (
        <Button label={`Unload ${id}`} onClick={() => order(model, "unload")}>Unload</Button>)}
      {isThere && model.can_suspend && (
        <Button label={`Suspend ${id}`} onClick={() => order(model, "suspend")}>Suspend</Button>)}
      {state === "suspended" && (
        <Button label={`Resume ${id}`} onClick={() => order(model, "resume")}>Resume</Button>)}
      {isThere && model.placements.filter((p) => p !== model.placement).map((place) => (
        <Button key={place} label={`Move ${id} to ${place}`}
          onClick={() => order(model, "move", `&device=${encodeURIComponent(place)}`)}>
          Move to {place}
        </Button>))}
      <Button label={`Pin ${id}`} pressed={model.pinned}
        onClick={() => order(model, model.pinned ? "unpin" : "pin")}>
        {model.pinned ? "Pinned" : "Pin"}
      </Button>
    </div>
  );
}

function ModelCard({ model }: { model: Model }) {
  const left = model.idle_unload_s === null ? null : Math.max(0, model.idle_unload_s - age());
  // "gpu" is what a model's place is called that has only one.
  const place = [model.placement === "gpu" ? null : model.placement, ...model.devices.filter((d) => d !== model.placement)].filter(Boolean);
  const facts: [string, string][] = [
    ["where", model.state === "unloaded" ? UNKNOWN : place.join(", ") || UNKNOWN],
    ["memory", `${bytes(model.footprint_bytes)}${model.footprint_source === "estimated" ? " (estimated)" : ""}`],
    ["in flight", String(model.in_flight)],
    ["waiting", String(model.waiting)],
    ["leaves in", left === null ? (model.state === "loaded" ? "never" : UNKNOWN) : seconds(Math.round(left))],
    ["loads in", seconds(model.load_s)],
  ];
  return (
    <li class="card model" data-model={model.id}>
      <header class="spread">
        <h3><i class={`swatch colour-${colourOf(model.id)}`} />
          <a href={href("why", model.id)} title={`Why is ${model.id} where it is?`}>{model.id}</a></h3>
        <Badge kind={model.state}>{model.state}</Badge>
      </header>
      <dl class="facts">
        {facts.map(([name, value]) => (
          <div key={name}><dt>{name}</dt><dd>{value}</dd></div>))}
      </dl>
      {model.error && <p class="bad clip">{model.error}</p>}
      {model.backend_reason && <p class="bad">{model.backend_reason}</p>}
      {model.wish && <p class="quiet">The mode wants it {model.wish}.</p>}
      <Buttons model={model} />
    </li>
  );
}

function Models() {
  const [filter, setFilter] = useState("");
  const all = live.status.value?.model_list ?? [];
  const words = filter.toLowerCase();
  const models = all.filter((m) => m.id.toLowerCase().includes(words) || m.state.includes(words));
  return (
    <section aria-labelledby="models">
      <header class="spread">
        <h2 id="models">Models</h2>
        {all.length > 8 && (
          <input type="search" aria-label="Filter models" placeholder="name or state" value={filter}
            onInput={(e) => setFilter(e.currentTarget.value)} />)}
      </header>
      {models.length ? <ul class="grid">{models.map((m) => <ModelCard key={m.id} model={m} />)}</ul>
        : <Empty>{all.length ? "No model is called so." : "No model is configured."}</Empty>}
    </section>
  );
}

function WaiterRow({ waiter }: { waiter: Waiter }) {
  const left = waiter.deadline_s === null ? "" : waiter.overdue ? "overdue" : `due in ${seconds(Math.round(waiter.deadline_s))}`;
  return (
    <tr data-waiter={waiter.model ?? waiter.lease}>
      <th scope="row">{waiter.model ?? `lease ${waiter.name || waiter.lease}`}</th>
      <td>{waiter.class}</td>
      <td class="number">{seconds(waiter.since_s + age())}</td>
      <td class="number">{waiter.position}</td>
      <td class="number">{seconds(waiter.estimate_s)}</td>
      <td>{waiter.for ?? "nothing that is known"}{left && <span class="quiet"> · {left}</span>}</td>
    </tr>
  );
}

function Waiting() {
  const { queue } = live.queue.value;
  return (
    <section aria-labelledby="queue">
      <h2 id="queue">Queue</h2>
      {queue.length === 0 ? <Empty>Nobody waits.</Empty> : (
        <Scroll label="Queue">
          <table>
            <thead>
              <tr><th scope="col">who</th><th scope="col">class</th><th scope="col" class="number">waits for</th>
                <th scope="col" class="number">position</th><th scope="col" class="number">estimate</th>
                <th scope="col">waits until there is</th></tr>
            </thead>
            <tbody>{queue.map((w, i) => <WaiterRow key={i} waiter={w} />)}</tbody>
          </table>
        </Scroll>
      )}
    </section>
  );
}

function ModeSwitch() {
  const mode = live.mode.value;
  if (!mode || Object.keys(mode.modes).length < 2) return null;
  const set = (name: string) => attempt(`mode ${name}`, async () => {
    await daemon.ask("wharf/mode", { method: "PUT", body: { mode: name } });
    tell(`The mode is ${name}.`);
  });
  const missing = mode.models.filter((m) => !m.reached);
  return (
    <div class="mode">
      <Pick label="Mode" value={mode.mode} options={Object.keys(mode.modes)} onPick={(name) => void set(name)} />
      {missing.length > 0 && <span class="quiet">not reached: {missing.map((m) => m.model).join(", ")}</span>}
    </div>
  );
}

function Summary() {
  const s = live.status.value;
  if (!s) return null;
  return (
    <div class="spread summary">
      <p>
        <b>{s.loaded}</b> of {count(s.models, "model")} loaded, <b>{s.in_flight}</b> in flight,{" "}
        <b>{s.waiting + s.leases_waiting}</b> waiting{s.leases ? `, ${count(s.leases, "lease")}` : ""}
        <span class="quiet"> · {s.scheduler} + {s.planner}</span>
      </p>
      <ModeSwitch />
    </div>
  );
}

function Degraded() {
  const list = live.status.value?.degradations ?? [];
  if (!list.length) return null;
  return (
    <ul class="card warn" aria-label="What is not as it should be">
      {list.map((d) => <li key={`${d.what}${d.name}`}><b>{d.what} {d.name}</b>: {d.reason}</li>)}
    </ul>
  );
}

export function Now() {
  const status = live.status.value;
  if (!status) return <Empty>Asking the daemon how things stand …</Empty>;
  return (
    <>
      <Summary />
      <Degraded />
      <section aria-label="Devices" class="devices">
        {status.devices.map((d) => <DeviceBar key={d.index} device={d} models={status.model_list} />)}
        {status.devices.length === 0 && <Empty>No GPU is known: models are counted, and not their bytes.</Empty>}
      </section>
      <Waiting />
      <Models />
    </>
  );
}
