// SPDX-License-Identifier: Apache-2.0
// The connection to the server: a token, one WebSocket that comes back after it was lost, requests
// with their answers, and plain HTTP with the same token.

const VERSION = 1;
const SUBPROTOCOL = "hoplab.v1";
const SHORTEST = 500,
  LONGEST = 5000; // milliseconds between two attempts
const KEY = "hoplab-token";

// The token comes behind "#" and goes into this tab's own memory, so that no address shows it.
// Gives what else stood there.
export function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1));
  const token = given.get("token");
  if (token) sessionStorage.setItem(KEY, token);
  return {
    token: token ?? sessionStorage.getItem(KEY) ?? "",
    lab: token && given.get("lab"),
    fresh: Boolean(token),
  };
}

export class Wire {
  // hear(message): what comes unasked; turn(state): "connecting", "open", "lost", "refused" or
  // "older"; bytes(id, data): of a terminal.
  constructor(token, { hear, turn, bytes }) {
    Object.assign(this, { token, hear, turn, bytes });
    this.asked = new Map();
    this.last = 0;
    this.wait = SHORTEST;
    this.state = "connecting";
  }

  connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/ws`, [
      SUBPROTOCOL,
      `token.${this.token}`,
    ]);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.onmessage = (event) => this.take(event.data);
    socket.onclose = () => this.lost(socket);
  }

  become(state) {
    if (this.state === state) return;
    this.state = state;
    this.turn(state);
  }

  async lost(socket) {
    if (socket !== this.socket) return;
    const was = this.state;
    for (const hear of this.asked.values()) hear({ type: "lost" });
    this.asked.clear();
    if (was === "older") return;
    if (was !== "open" && (await this.refused())) return this.become("refused");
    this.become("lost");
    setTimeout(() => this.connect(), this.wait);
    this.wait = Math.min(LONGEST, this.wait * 1.6);
  }

  // A refused upgrade looks like a server that is away; over HTTP they differ.
  async refused() {
    try {
      return (await this.get("/api/runs")).status === 403;
    } catch {
      return false;
    }
  }

  take(data) {
    if (data instanceof ArrayBuffer) {
      this.bytes(new DataView(data).getUint32(0), new Uint8Array(data, 4));
      return;
    }
    const message = JSON.parse(data);
    if (message.type === "hello") {
      this.wait = SHORTEST;
      if (message.version !== VERSION) return this.become("older");
      this.hear(message);
      return this.become("open");
    }
    const hear = this.asked.get(message.id);
    if (hear) hear(message);
    else this.hear(message);
  }

  get open() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  send(message) {
    if (this.open) this.socket.send(JSON.stringify(message));
  }

  sendBytes(id, data) {
    if (!this.open) return;
    const whole = new Uint8Array(4 + data.length);
    new DataView(whole.buffer).setUint32(0, id);
    whole.set(data, 4);
    this.socket.send(whole);
  }

  // A request; hear(answer) is called for each answer until forget(id). A connection that is lost
  // answers {"type": "lost"}.
  ask(message, hear) {
    const id = ++this.last;
    this.asked.set(id, hear);
    if (this.open) this.send({ ...message, id });
    else queueMicrotask(() => this.asked.delete(id) && hear({ type: "lost" }));
    return id;
  }

  forget(id) {
    this.asked.delete(id);
  }

  get(path, options = {}) {
    return fetch(path, { ...options, headers: { Authorization: `Bearer ${this.token}` } });
  }

  async json(path) {
    const response = await this.get(path);
    if (!response.ok) throw new Error(`${path}: ${response.status}`);
    return response.json();
  }
}
