// A captured request with its answer, in a dialog.

import { useEffect, useRef, useState } from "preact/hooks";
import { daemon, wordsOf } from "../app";
import { Button } from "./basics";

interface Capture {
  req_path: string;
  req_headers: Record<string, string>;
  req_body: string | null;
  resp_headers: Record<string, string>;
  resp_body: string | null;
}

function textOf(base64: string | null): string {
  if (!base64) return "";
  const raw = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const text = new TextDecoder().decode(raw);
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

export function CaptureView({ id, onClose }: { id: number; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [capture, setCapture] = useState<Capture | null>(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    dialog.current?.showModal();
    daemon.json<Capture>(`api/captures/${id}`).then(setCapture, (error: unknown) => setProblem(wordsOf(error)));
  }, [id]);
  const fields = (map: Record<string, string>) => Object.entries(map).map(([k, v]) => `${k}: ${v}`).join("\n");
  return (
    <dialog ref={dialog} class="capture" aria-labelledby="capture-title" onClose={onClose}>
      <div class="spread"><h2 id="capture-title">Request {id}{capture && ` · ${capture.req_path}`}</h2>
        <Button onClick={() => dialog.current?.close()}>Close</Button></div>
      {problem && <p class="bad">{problem}</p>}
      {capture && ([
        ["Asked", fields(capture.req_headers), textOf(capture.req_body)],
        ["Answered", fields(capture.resp_headers), textOf(capture.resp_body)],
      ] as const).map(([name, head, body]) => (
        <section key={name} class="stack"><h3>{name}</h3>
          <details><summary>Header fields</summary><pre>{head}</pre></details>
          <pre class="body" tabIndex={0} aria-label={`Body: ${name}`}>{body || "(no body was kept)"}</pre></section>))}
    </dialog>
  );
}
