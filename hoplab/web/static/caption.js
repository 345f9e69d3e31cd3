// SPDX-License-Identifier: Apache-2.0
// One sentence for a moment, from the scene's columns.
import { ASK, CHANGED, FRAMES, IGNORED, ROUTED, VANISHED } from "./scene.js";

const MOST_NAMES = 6;

export const ownerOf = (scene, speaker, place) => {
  const mac = scene.macs[place];
  if (mac === "ff:ff:ff:ff:ff:ff") return speaker.word("all_nodes");
  const node = scene.owner.get(mac);
  return node === undefined ? mac : scene.nodes[node].name;
};

const names = (scene, speaker, legs) => {
  const all = [...new Set(Array.from(legs, (leg) => scene.nameAt(scene.legs.head[leg])))];
  const shown =
    all.length > MOST_NAMES ? [...all.slice(0, MOST_NAMES - 1), `… (${all.length})`] : all;
  return shown.join(speaker.comma());
};

export function caption(scene, speaker, moment) {
  const text = plain(scene, speaker, moment);
  if (!text) return "";
  const held = scene
    .waitingAt(moment)
    .filter((leg) => scene.legs.trip[leg] !== scene.packetAt(moment));
  const nodes = new Map();
  for (const leg of held) {
    const node = scene.nameAt(scene.legs.head[leg]);
    nodes.set(node, [...(nodes.get(node) ?? []), scene.trips.number[scene.legs.trip[leg]]]);
  }
  let out = text;
  for (const [node, numbers] of [...nodes].slice(0, 2)) {
    const all = numbers.length > 3 ? [...numbers.slice(0, 3), "…"] : numbers;
    out = speaker.word("waiting", { text: out, a: node, l: all.join(`${speaker.comma()}#`) });
  }
  return out;
}

function plain(scene, speaker, moment) {
  if (moment < 0 || moment >= scene.moments) return "";
  if (scene.kind[moment] !== FRAMES) return controller(scene, speaker, moment);
  const { legs, trips } = scene;
  const members = scene.membersOf(moment);
  const leg = members[0],
    packet = legs.trip[leg],
    parent = scene.parentOf(leg);
  const n = trips.number[packet],
    a = scene.nameAt(legs.tail[leg]);
  const b = names(scene, speaker, members);
  const altered = Array.from(members).find((each) => legs.flags[each] & CHANGED);
  let text;
  if (parent < 0)
    text = speaker.word("born", { a, n, b, title: speaker.text(trips.title[packet]) });
  else if (legs.flags[leg] & ROUTED) text = routed(scene, speaker, leg, parent, a, n);
  else if (members.length > 1) text = speaker.word("copies", { a, n, m: members.length, b });
  else text = speaker.word(altered === undefined ? "forwards" : "sends_on", { a, n, b });
  if (altered !== undefined) {
    const what = scene.changes[altered];
    text = speaker.word(what ? "changing" : "changing_plain", { text, l: speaker.text(what) });
  }
  const of = (bits) => Array.from(members).filter((each) => legs.flags[each] & bits);
  const gone = of(VANISHED),
    idle = of(IGNORED);
  if (gone.length) text = speaker.word("losing", { text, l: names(scene, speaker, gone) });
  if (idle.length > MOST_NAMES) text = speaker.word("ignoring_many", { text, l: idle.length });
  else if (idle.length) text = speaker.word("ignoring", { text, l: names(scene, speaker, idle) });
  return text;
}

function routed(scene, speaker, leg, parent, a, n) {
  const { legs, trips } = scene,
    packet = legs.trip[leg];
  const translated = trips.translated[packet].find((each) => trips.first[packet] + each[0] === leg);
  const values = {
    a,
    n,
    x: ownerOf(scene, speaker, legs.src[parent]),
    y: ownerOf(scene, speaker, legs.dst[parent]),
    u: ownerOf(scene, speaker, legs.src[leg]),
    v: ownerOf(scene, speaker, legs.dst[leg]),
    t: legs.ttl[parent],
    w: legs.ttl[leg],
    s: trips.src[packet],
    d: trips.dst[packet],
  };
  if (!legs.ttl[leg]) return speaker.word("routed_plain", values);
  if (!translated) return speaker.word("routed", values);
  const [, s, d, s2, d2] = translated;
  return speaker.word("translated", { ...values, s, d, s2, d2 });
}

function controller(scene, speaker, moment) {
  const [packet, place, wait, , , answer] = scene.asks[scene.subject[moment]];
  const leg = scene.trips.first[packet] + place;
  const values = { a: scene.nameAt(scene.legs.head[leg]), n: scene.trips.number[packet] };
  if (scene.kind[moment] === ASK) return speaker.word("asks", values);
  if (wait === null || !answer) return speaker.word("answers_bare", values);
  return speaker.word("answers", { ...values, ms: wait.toFixed(2), answer: speaker.text(answer) });
}
