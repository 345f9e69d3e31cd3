// SPDX-License-Identifier: Apache-2.0
// A lab that runs, as the server tells of it. No DOM, no socket.
import { Rates, Store } from "./live_store.js";
import { changesOf } from "./live_tables.js";
import { cableKey } from "./map.js";

const SILENT_MS = 2500; // without a beat of the follower's: it has no time, and no lab is quiet
const QUIET_MS = 2000; // after which it is said that nothing was counted (`quiet_lab`)

export class LiveModel {
  // hello: what the server said of itself; message: the scene of the lab.
  constructor(hello, message) {
    this.acts = hello.acts;
    this.view = hello.view;
    this.controllers = hello.controllers ?? [];
    this.name = message.lab;
    this.store = new Store(message.scene);
    this.revision = 0;
    this.shown = [0, 0]; // frames on links, told as packets and all
    this.dead = null;
    this.trouble = null;
    this.tables = new Map(); // of nodes, as they came last
    this.tablesOf = ""; // the node whose tables are shown
    this.news = 0; // packets told since somebody looked
    this.cableStates = new Map(); // by ports: how a cable is drawn
    this.sceneCame(message, true);
  }

  sceneCame(message, fresh = false) {
    const { scene } = message;
    if (!fresh && message.grown) this.store.grow(scene);
    else if (!fresh) this.store.begin(scene);
    if (fresh || !message.grown) this.shown = [0, 0];
    this.dead = null;
    this.revision++;
    this.ports = new Map(scene.ports.map((port, place) => [port.name, place]));
    this.rates = new Rates(scene.ports.length, message.counts ?? []);
    this.hosts = scene.nodes
      .filter((node) => node.kind === "host" || node.kind === "router")
      .map((node) => node.name);
    this.switches = scene.nodes
      .filter((node) => node.kind === "switch" || node.kind === "hub")
      .map((node) => node.name);
    this.state = message.state ?? this.state ?? {};
    this.cablesCame(message.cables ?? this.cables ?? []);
  }

  cablesCame(cables) {
    this.cables = cables;
    this.cableStates.clear();
    for (const cable of cables) {
      const [a, b] = this.endsOf(cable);
      const cut = cable.state !== "up";
      const shaped = cable.ends.some((end) => Object.keys(limitsOf(end)).length);
      if (a !== undefined && b !== undefined && (cut || shaped))
        this.cableStates.set(cableKey(a, b), cut ? "is-cut" : "is-shaped");
    }
  }

  endsOf(cable) {
    return cable.ends.map((end) => this.ports.get(end.interface));
  }

  // The cable between two ports.
  cableAt(a, b) {
    const key = cableKey(a, b);
    return this.cables.find((cable) => cableKey(...this.endsOf(cable)) === key);
  }

  // Gives what has changed: "scene", "cables", "state", "batch" or "said".
  take(message) {
    switch (message.type) {
      case "scene":
        this.sceneCame(message);
        return "scene";
      case "cables":
        this.cablesCame(message.cables);
        return "cables";
      case "state":
        this.state = message.state;
        return "state";
      case "batch":
        this.batchCame(message);
        return "batch";
      case "tables":
        message.changes = changesOf(this.tables.get(message.node), message.tables);
        this.tables.set(message.node, message.tables);
        return "tables";
      case "beat":
        this.beatAt = performance.now();
        return "";
      case "dead":
        this.dead = message.sentence;
        this.rates.rest();
        return "said";
      case "trouble":
        this.trouble = message.sentence;
        return "said";
      default:
        return "";
    }
  }

  batchCame({ counts, seconds, frames, packets, pieces }) {
    this.rates.take(counts, seconds);
    this.at = performance.now();
    this.shown[0] += frames[0];
    this.shown[1] += frames[1];
    this.news += packets[1];
    for (const piece of pieces ?? []) this.store.take(piece);
  }

  // For how long nothing was heard of a lab that lives, 0 where that is no wonder.
  silentFor(now) {
    if (this.dead || this.beatAt === undefined) return 0;
    const silent = now - this.beatAt;
    return silent > SILENT_MS ? silent : 0;
  }

  // What no batch speaks of any more has ended.
  settle(now) {
    if (this.at !== undefined && now - this.at > QUIET_MS) this.rates.rest();
  }
}

// What a cable's end was made to do to frames, by what `hoplab link --json` calls it.
const LIMITS = ["rate", "delay_ms", "jitter_ms", "loss", "queue"];
export const limitsOf = (end) =>
  Object.fromEntries(
    LIMITS.filter((name) => end[name] !== undefined && end[name] !== null).map((name) => [
      name,
      end[name],
    ]),
  );
