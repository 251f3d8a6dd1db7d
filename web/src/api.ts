// What talks to the daemon: relative to wherever the page lies, with the key if there is one.

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

interface ErrorBody {
  error?: { message?: string; code?: string } | string;
}

async function errorOf(answer: Response): Promise<ApiError> {
  const text = await answer.text();
  try {
    const { error } = JSON.parse(text) as ErrorBody;
    if (typeof error === "object") return new ApiError(answer.status, error.code ?? "", error.message ?? text);
    if (error) return new ApiError(answer.status, "", error);
  } catch {
    // No JSON: the text itself says it.
  }
  return new ApiError(answer.status, "", text.slice(0, 500) || `HTTP ${answer.status}`);
}

export interface Ask {
  method?: string;
  body?: BodyInit | object;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

export class Daemon {
  /** The base ends with a slash. onRefused: the daemon wants a key, or another one. */
  constructor(
    readonly base: string,
    readonly key: () => string,
    readonly onRefused: () => void = () => {},
  ) {}

  /** The answer, whose status is a success. */
  async ask(path: string, { method = "GET", body, headers = {}, signal }: Ask = {}): Promise<Response> {
    // The first has the daemon leave the question for a key to the page.
    const all: Record<string, string> = { "X-Requested-With": "wharf", Accept: "application/json", ...headers };
    const key = this.key();
    if (key) all["Authorization"] = `Bearer ${key}`;
    const isObject = body !== undefined && Object.getPrototypeOf(body) === Object.prototype;
    if (isObject) all["Content-Type"] = "application/json";
    const answer = await fetch(this.base + path, {
      method,
      headers: all,
      cache: "no-store",
      ...(body === undefined ? {} : { body: isObject ? JSON.stringify(body) : (body as BodyInit) }),
      ...(signal ? { signal } : {}),
    });
    if (answer.ok) return answer;
    // Another may have been given meanwhile.
    if (answer.status === 401 && key === this.key()) this.onRefused();
    throw await errorOf(answer);
  }

  async json<T>(path: string, ask?: Ask): Promise<T> {
    return (await (await this.ask(path, ask)).json()) as T;
  }
}

/** The pieces of text of an answer, as they come. */
export async function* pieces(answer: Response): AsyncGenerator<string> {
  if (!answer.body) return;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    void reader.cancel().catch(() => {});
  }
}

export interface ServerEvent {
  id: string;
  type: string;
  data: string;
}

/** The events of an event stream (WHATWG HTML, section 9.2.6), comments left out. */
export async function* serverEvents(answer: Response): AsyncGenerator<ServerEvent> {
  let rest = "";
  for await (const piece of pieces(answer)) {
    rest = (rest + piece).replaceAll("\r\n", "\n");
    for (;;) {
      const end = rest.indexOf("\n\n");
      if (end < 0) break;
      const event: ServerEvent = { id: "", type: "message", data: "" };
      const data: string[] = [];
      for (const line of rest.slice(0, end).split("\n")) {
        const colon = line.indexOf(":");
        const name = colon < 0 ? line : line.slice(0, colon);
        const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
        if (name === "data") data.push(value);
        else if (name === "id") event.id = value;
        else if (name === "event") event.type = value;
      }
      rest = rest.slice(end + 2);
      if (data.length) yield { ...event, data: data.join("\n") };
    }
  }
}
