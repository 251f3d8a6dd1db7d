import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { serverEvents } from "../api";
import { daemon, live, wordsOf } from "../app";
import { bytes, count, seconds } from "../format";
import { Button, Empty, Field, Pick } from "../parts/basics";

const KINDS = ["chat", "completion", "embedding", "image", "speech", "transcription"] as const;
type Kind = (typeof KINDS)[number];

interface Message {
  role: "user" | "assistant" | "system";
  content: string;
}

interface Chunk {
  choices?: { text?: string; delta?: { content?: string | null; reasoning_content?: string | null } }[];
  usage?: { completion_tokens?: number } | null;
  error?: { message?: string };
}

/** What happened, for the line below the answer. */
interface Told {
  waited: string | null;
  firstMs: number | null;
  tookMs: number;
  pieces: number;
}

type Listener = (text: string, thought: string) => void;

async function stream(path: string, body: object, signal: AbortSignal, onText: Listener): Promise<Told> {
  const began = performance.now();
  const answer = await daemon.ask(path, { method: "POST", body: { ...body, stream: true }, signal });
  let first: number | null = null;
  let count = 0;
  for await (const event of serverEvents(answer)) {
    if (event.data === "[DONE]") break;
    const chunk = JSON.parse(event.data) as Chunk;
    if (chunk.error) throw new Error(chunk.error.message ?? "the stream ended with an error");
    const choice = chunk.choices?.[0];
    const text = choice?.delta?.content ?? choice?.text ?? "";
    const thought = choice?.delta?.reasoning_content ?? "";
    if (!text && !thought) continue;
    first ??= performance.now() - began;
    count++;
    onText(text, thought);
  }
  return { waited: answer.headers.get("X-Wharf-Queued"), firstMs: first, tookMs: performance.now() - began, pieces: count };
}

function Facts({ told }: { told: Told }) {
  const streamed = told.tookMs - (told.firstMs ?? told.tookMs);
  const facts = [
    told.waited && `waited ${seconds(Number(told.waited))}`,
    told.firstMs !== null && `first token after ${seconds(told.firstMs / 1000)}`,
    told.pieces > 1 && streamed > 0 && `${((told.pieces - 1) / (streamed / 1000)).toFixed(1)} tokens/s`,
    `${seconds(told.tookMs / 1000)} in all`,
  ].filter(Boolean);
  return <p class="quiet facts-line">{facts.join(" · ")}</p>;
}

/** Runs one thing at a time, which can be stopped; says what went wrong. */
function useRun() {
  const abort = useRef<AbortController | null>(null);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  useEffect(() => () => abort.current?.abort(), []);
  async function run(what: (signal: AbortSignal) => Promise<void>) {
    abort.current = new AbortController();
    setBusy(true);
    setProblem("");
    try {
      await what(abort.current.signal);
    } catch (error) {
      setProblem(abort.current.signal.aborted ? "stopped" : error instanceof Error ? error.message : wordsOf(error));
    }
    setBusy(false);
  }
  return { busy, problem, run, stop: () => abort.current?.abort() };
}

interface GoProps {
  run: ReturnType<typeof useRun>;
  what: string;
  onGo: () => void;
}

function Go({ run, what, onGo }: GoProps) {
  return (
    <>
      <div class="buttons">
        {run.busy ? <Button kind="danger" onClick={run.stop}>Stop</Button> : <Button kind="main" onClick={onGo}>{what}</Button>}
      </div>
      {run.problem && <p class="bad" role="alert">{run.problem}</p>}
    </>
  );
}

function Chat({ model }: { model: string }) {
  const run = useRun();
  const [system, setSystem] = useState("");
  const [messages, setMessages] = useState<Message[]>([]);
  const [text, setText] = useState("");
  const [temperature, setTemperature] = useState("");
  const [answer, setAnswer] = useState({ text: "", thought: "" });
  const [told, setTold] = useState<Told | null>(null);
  const send = () => run.run(async (signal) => {
    const asked: Message[] = [...messages, { role: "user", content: text }];
    let so = { text: "", thought: "" };
    setMessages(asked);
    setText("");
    setTold(null);
    setAnswer(so);
    const body = {
      model,
      messages: system ? [{ role: "system", content: system }, ...asked] : asked,
      ...(temperature ? { temperature: Number(temperature) } : {}),
    };
    try {
      setTold(await stream("v1/chat/completions", body, signal, (piece, thought) => {
        so = { text: so.text + piece, thought: so.thought + thought };
        setAnswer(so);
      }));
    } finally {
      if (so.text) setMessages([...asked, { role: "assistant", content: so.text }]);
      setAnswer({ text: "", thought: so.thought });
    }
  });
  return (
    <>
      <details><summary>Settings</summary><div class="stack">
        <Field label="System prompt"><textarea rows={2} value={system} onInput={(e) => setSystem(e.currentTarget.value)} /></Field>
        <Field label="Temperature"><input type="number" step="0.1" min={0} max={2} value={temperature}
          onInput={(e) => setTemperature(e.currentTarget.value)} /></Field>
      </div></details>
      <div class="chat" role="log" aria-label="Conversation" aria-busy={run.busy}>
        {messages.map((m, i) => <div key={i} class={`said ${m.role}`}><b>{m.role}</b><p>{m.content}</p></div>)}
        {answer.thought && <details class="said"><summary>thoughts</summary><p>{answer.thought}</p></details>}
        {(run.busy || answer.text) && <div class="said assistant"><b>assistant</b><p>{answer.text || "…"}</p></div>}
      </div>
      {told && <Facts told={told} />}
      <Field label="Message"><textarea rows={3} value={text} onInput={(e) => setText(e.currentTarget.value)}
        onKeyDown={(e) => {
          if (e.key !== "Enter" || e.shiftKey || run.busy || !text.trim()) return;
          e.preventDefault();
          void send();
        }} /></Field>
      <Go run={run} what="Send" onGo={() => void send()} />
      {messages.length > 0 && <div class="buttons"><Button onClick={() => (setMessages([]), setTold(null))}>Begin anew</Button></div>}
    </>
  );
}

function Completion({ model }: { model: string }) {
  const run = useRun();
  const [text, setText] = useState("");
  const [answer, setAnswer] = useState("");
  const [told, setTold] = useState<Told | null>(null);
  const go = () => run.run(async (signal) => {
    let so = "";
    setAnswer("");
    setTold(await stream("v1/completions", { model, prompt: text, max_tokens: 256 }, signal, (piece) => setAnswer((so += piece))));
  });
  return (
    <>
      <Field label="Text to go on with"><textarea rows={5} value={text} onInput={(e) => setText(e.currentTarget.value)} /></Field>
      <Go run={run} what="Complete" onGo={() => void go()} />
      {answer && <pre class="card answer" role="log" aria-label="Answer">{answer}</pre>}
      {told && <Facts told={told} />}
    </>
  );
}

function Embedding({ model }: { model: string }) {
  const run = useRun();
  const [text, setText] = useState("");
  const [vectors, setVectors] = useState<number[][]>([]);
  const go = () => run.run(async (signal) => {
    const input = text.split("\n").filter((line) => line.trim());
    const answer = await daemon.json<{ data: { embedding: number[] }[] }>("v1/embeddings", { method: "POST", body: { model, input }, signal });
    setVectors(answer.data.map((d) => d.embedding));
  });
  const length = (a: number[]) => Math.sqrt(a.reduce((sum, x) => sum + x * x, 0)) || 1;
  const near = (a: number[], b: number[]) => a.reduce((sum, x, i) => sum + x * (b[i] ?? 0), 0) / length(a) / length(b);
  return (
    <>
      <Field label="Texts, one a line"><textarea rows={4} value={text} onInput={(e) => setText(e.currentTarget.value)} /></Field>
      <Go run={run} what="Embed" onGo={() => void go()} />
      {vectors.length > 0 && <div class="card stack" role="status">
        <p>{count(vectors.length, "vector")} of {vectors[0]?.length} numbers.</p>
        {vectors.length > 1 && <ul class="bullets">{vectors.slice(1).map((v, i) => (
          <li key={i}>line 1 and line {i + 2}: cosine {near(vectors[0] ?? [], v).toFixed(4)}</li>))}</ul>}
        <pre class="clip" tabIndex={0} aria-label="First vector">{vectors[0]?.slice(0, 16).map((x) => x.toFixed(5)).join(" ")} …</pre>
      </div>}
    </>
  );
}

/** An address for what was made, for as long as it is shown. */
function useMade() {
  const [made, setMade] = useState("");
  useEffect(() => () => void (made.startsWith("blob:") && URL.revokeObjectURL(made)), [made]);
  return [made, setMade] as const;
}

function Picture({ model }: { model: string }) {
  const run = useRun();
  const [text, setText] = useState("");
  const [size, setSize] = useState("512x512");
  const [made, setMade] = useMade();
  const go = () => run.run(async (signal) => {
    const answer = await daemon.json<{ data: { b64_json?: string }[] }>("v1/images/generations",
      { method: "POST", body: { model, prompt: text, size, n: 1, response_format: "b64_json" }, signal });
    const data = answer.data[0]?.b64_json;
    if (!data) throw new Error("the model's server answered without a picture");
    setMade(`data:image/png;base64,${data}`);
  });
  return (
    <>
      <Field label="What it should show"><textarea rows={3} value={text} onInput={(e) => setText(e.currentTarget.value)} /></Field>
      <Pick label="Size" value={size} options={["256x256", "512x512", "1024x1024"]} onPick={setSize} />
      <Go run={run} what="Draw" onGo={() => void go()} />
      {made && <img class="made" src={made} alt={text} />}
    </>
  );
}

function Speech({ model }: { model: string }) {
  const run = useRun();
  const [text, setText] = useState("");
  const [voice, setVoice] = useState("alloy");
  const [made, setMade] = useMade();
  const go = () => run.run(async (signal) => {
    const answer = await daemon.ask("v1/audio/speech", { method: "POST", body: { model, input: text, voice }, signal });
    setMade(URL.createObjectURL(await answer.blob()));
  });
  return (
    <>
      <Field label="Text to speak"><textarea rows={3} value={text} onInput={(e) => setText(e.currentTarget.value)} /></Field>
      <Field label="Voice"><input value={voice} onInput={(e) => setVoice(e.currentTarget.value)} /></Field>
      <Go run={run} what="Speak" onGo={() => void go()} />
      {made && <audio controls src={made} aria-label="What was spoken" />}
    </>
  );
}

function Transcription({ model }: { model: string }) {
  const run = useRun();
  const [file, setFile] = useState<File | null>(null);
  const [answer, setAnswer] = useState("");
  const go = () => run.run(async (signal) => {
    if (!file) throw new Error("choose a file first");
    const form = new FormData();
    form.append("model", model);
    form.append("file", file);
    const got = await daemon.json<{ text: string }>("v1/audio/transcriptions", { method: "POST", body: form, signal });
    setAnswer(got.text);
  });
  return (
    <>
      <Field label="A recording"><input type="file" accept="audio/*" onChange={(e) => setFile(e.currentTarget.files?.[0] ?? null)} /></Field>
      {file && <p class="quiet">{file.name}, {bytes(file.size)}</p>}
      <Go run={run} what="Write down" onGo={() => void go()} />
      {answer && <pre class="card answer" role="status">{answer}</pre>}
    </>
  );
}

const VIEWS: Record<Kind, (props: { model: string }) => JSX.Element> = {
  chat: Chat, completion: Completion, embedding: Embedding, image: Picture, speech: Speech, transcription: Transcription,
};

export function TryIt() {
  const [names, setNames] = useState<string[]>([]);
  const [kind, setKind] = useState<Kind>("chat");
  const [chosen, setChosen] = useState("");
  const [problem, setProblem] = useState("");
  useEffect(() => {
    daemon.json<{ data: { id: string }[] }>("v1/models").then(
      (answer) => setNames(answer.data.map((m) => m.id)), (error: unknown) => setProblem(wordsOf(error)));
  }, []);
  const model = chosen || names[0] || "";
  const View = VIEWS[kind];
  const is = live.status.value?.model_list.find((m) => m.id === model);
  return (
    <section class="stack tryit">
      <h2>Try it</h2>
      {problem && <p class="bad" role="alert">{problem}</p>}
      {names.length === 0 ? <Empty>There is no model to ask.</Empty> : <>
        <div class="row">
          <Pick label="Model" value={model} options={names} onPick={setChosen} />
          <Pick label="What" value={kind} options={KINDS} onPick={(k) => setKind(k as Kind)} />
          {is && <span class="quiet" role="status">{model} is {is.state}{is.waiting ? `, ${is.waiting} waiting` : ""}</span>}
        </div>
        <View key={`${kind}${model}`} model={model} />
      </>}
    </section>
  );
}
