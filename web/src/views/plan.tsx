import { useState } from "preact/hooks";
import { daemon, live, wordsOf } from "../app";
import { bytes, seconds } from "../format";
import { Badge, Button, Empty, Field, Pick } from "../parts/basics";
import type { Plan as Answer } from "../types";

const VERDICTS = {
  here: "It is loaded already.",
  go: "It would come in now.",
  wait: "It would have to wait for others, or for what is on its way.",
  blocked: "It cannot come in: what is in its way cannot be made to leave.",
  never: "It can never fit.",
};
const ACTIONS: Record<string, string> = {
  unload: "would be unloaded", suspend: "would be put to sleep", move: "would be moved", revoke: "would be asked to end",
};

function Verdict({ plan, what }: { plan: Answer; what: string }) {
  return (
    <div class="card stack" data-verdict={plan.verdict}>
      <p><Badge kind={plan.verdict}>{plan.verdict}</Badge> <b>{what}</b>: {VERDICTS[plan.verdict]}</p>
      {plan.detail && <p>{plan.detail}</p>}
      {plan.why && plan.verdict !== "here" && <p>Why: {plan.why}.</p>}
      {plan.devices.length > 0 && <p>Where: {plan.devices.join(", ")}, {bytes(plan.bytes)} on each.</p>}
      {plan.leaves.length > 0 && (
        <div>
          <h3>Who would leave</h3>
          <ul class="bullets">{plan.leaves.map((l, i) => (
            <li key={i}><b>{l.model ?? `lease ${l.lease}`}</b> {ACTIONS[l.action] ?? l.action}, which gives
              back {bytes(l.bytes)}{l.busy && "; it would finish its work first"}.</li>))}
          </ul>
        </div>)}
      {plan.seconds !== null && <p>Until it could be used: about {seconds(plan.seconds)}.</p>}
      <ul class="legend">{plan.room.map((r) => (
        <li key={r.device}>{r.device}: <b>{bytes(r.room_bytes)}</b> of {bytes(r.total_bytes)} could be handed out at once</li>))}
      </ul>
    </div>
  );
}

export function Plan() {
  const models = live.status.value?.model_list.map((m) => m.id) ?? [];
  const [model, setModel] = useState("");
  const [vram, setVram] = useState("8GiB");
  const [gpus, setGpus] = useState(1);
  const [answer, setAnswer] = useState<{ what: string; plan: Answer } | null>(null);
  const [problem, setProblem] = useState("");
  async function ask(what: string, body: object) {
    try {
      setAnswer({ what, plan: await daemon.json<Answer>("wharf/plan", { method: "POST", body }) });
      setProblem("");
    } catch (error) {
      setAnswer(null);
      setProblem(wordsOf(error));
    }
  }
  if (!models.length) return <Empty>No model is configured.</Empty>;
  const chosen = model || models[0] || "";
  return (
    <section class="stack">
      <h2>What would happen if …</h2>
      <p class="quiet">Nothing is done: the daemon is asked what it would decide now.</p>
      <div class="card row">
        <Pick label="a model were loaded" value={chosen} options={models} onPick={setModel} />
        <Button kind="main" label="Ask about the model" onClick={() => ask(chosen, { model: chosen })}>Ask</Button>
      </div>
      <div class="card row">
        <Field label="a job wanted memory on each GPU"><input value={vram} onInput={(e) => setVram(e.currentTarget.value)} /></Field>
        <Field label="GPUs"><input type="number" min={1} max={16} value={gpus}
          onInput={(e) => setGpus(Number(e.currentTarget.value) || 1)} /></Field>
        <Button kind="main" label="Ask about the job" onClick={() => ask(`a job with ${vram}`, { lease: { vram, gpus } })}>Ask</Button>
      </div>
      {problem && <p class="bad" role="alert">{problem}</p>}
      <div aria-live="polite">{answer && <Verdict plan={answer.plan} what={answer.what} />}</div>
    </section>
  );
}
