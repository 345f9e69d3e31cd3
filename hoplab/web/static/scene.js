// SPDX-License-Identifier: Apache-2.0
// A run as columns, and its moments. Pure: no DOM, no clock. hoplab/web/scene.py has the shapes.

// What became of a frame, a bit each; hoplab/web/scene.py has the same.
export const LOST = 1,
  CUT = 2,
  CARD = 4,
  SOFTWARE = 8,
  ARRIVED = 16,
  UNCERTAIN = 32,
  ROUTED = 64,
  FLOODED = 128,
  HEALED = 256,
  ENDED = 512,
  UNSEEN = 1024,
  COUNTED = 2048,
  CHANGED = 4096;
export const IGNORED = CARD | SOFTWARE,
  VANISHED = LOST | CUT | UNSEEN;
export const FRAMES = 0,
  ASK = 1,
  ANSWER = 2;
const TYPES = { B: Uint8Array, H: Uint16Array, I: Uint32Array, i: Int32Array };
const STRIDE = 256; // moments between two remembered lists of what waits

function bytesOf(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

// Columns of legs as typed arrays, by name.
export const columns = (legs) =>
  Object.fromEntries(
    Object.entries(legs).map(([name, [code, text]]) => [
      name,
      new TYPES[code](bytesOf(text).buffer),
    ]),
  );

export const decode = (raw) => arranged({ ...raw, legs: columns(raw.legs) });

// The same with what is found by places and names, and its moments. `legs` are columns already.
export function arranged(raw) {
  const { legs } = raw;
  const scene = { ...raw, count: legs.trip.length };
  const { first } = raw.trips;
  scene.packets = first.length;
  scene.lastLeg = first.map((_, packet) => (first[packet + 1] ?? scene.count) - 1);
  scene.packetOf = new Map(raw.trips.number.map((number, packet) => [number, packet]));
  scene.nodeOf = new Map(raw.nodes.map((node, place) => [node.name, place]));
  scene.portOf = new Map(raw.ports.map((port, place) => [port.name, place]));
  scene.owner = new Map(raw.ports.filter((port) => port.mac).map((port) => [port.mac, port.node]));
  scene.parentOf = (leg) => (legs.parent[leg] < 0 ? -1 : first[legs.trip[leg]] + legs.parent[leg]);
  scene.nodeAt = (port) => raw.ports[port]?.node ?? -1;
  scene.nameAt = (port) => raw.nodes[raw.ports[port]?.node]?.name ?? "?";
  moments(scene);
  return scene;
}

// A moment: all frames that one node makes of one frame; or a switch's question to its controller,
// or the answer. They stand in the order in which they happened, so that a packet which a router
// holds while it asks for a MAC waits here, too.
function moments(scene) {
  const { legs, count, trips } = scene;
  const made = new Map();
  const list = []; // [time, rank, kind, first leg or place in asks]
  const groupOf = new Uint32Array(count);
  for (let leg = 0; leg < count; leg++) {
    const key = legs.parent[leg] < 0 ? -1 - leg : trips.first[legs.trip[leg]] + legs.parent[leg];
    let group = made.get(key);
    if (group === undefined) {
      group = list.length;
      made.set(key, group);
      list.push([legs.t[leg], leg * 4, FRAMES, leg]);
    } else if (legs.t[leg] < list[group][0]) list[group][0] = legs.t[leg];
    groupOf[leg] = group;
  }
  scene.asks.forEach((ask, place) => {
    const leg = trips.first[ask[0]] + ask[1];
    const child = made.get(leg);
    const came = legs.came[leg];
    let answered = came + (ask[2] === null ? 0 : (ask[2] * 1e6) / scene.tick_ns);
    if (child !== undefined) answered = Math.min(answered, list[child][0]);
    list.push([Math.min(came, answered), leg * 4 + 1, ASK, place]);
    if (ask[4]) list.push([answered, leg * 4 + 2, ANSWER, place]);
  });
  const order = Array.from(list.keys());
  // What follows from a frame never stands before it, whatever two clocks say.
  order.sort((a, b) => list[a][0] - list[b][0] || rank(list[a]) - rank(list[b]) || a - b);
  const n = order.length;
  const placeOf = new Uint32Array(n);
  order.forEach((group, at) => {
    placeOf[group] = at;
  });
  scene.moments = n;
  scene.kind = Uint8Array.from(order, (group) => list[group][2]);
  scene.time = Float64Array.from(order, (group) => list[group][0]);
  scene.subject = Uint32Array.from(order, (group) => list[group][3]);
  scene.momentOf = new Uint32Array(count);
  scene.starts = new Uint32Array(n + 1);
  for (let leg = 0; leg < count; leg++) {
    scene.momentOf[leg] = placeOf[groupOf[leg]];
    scene.starts[scene.momentOf[leg] + 1]++;
  }
  for (let at = 0; at < n; at++) scene.starts[at + 1] += scene.starts[at];
  scene.members = new Uint32Array(count);
  const next = scene.starts.slice();
  for (let leg = 0; leg < count; leg++) scene.members[next[scene.momentOf[leg]]++] = leg;
  scene.membersOf = (at) =>
    at < 0 || at >= n ? [] : scene.members.subarray(scene.starts[at], scene.starts[at + 1]);
  scene.askMoments = new Map();
  for (let at = 0; at < n; at++) {
    if (scene.kind[at] === FRAMES) continue;
    const ask = scene.asks[scene.subject[at]];
    const leg = trips.first[ask[0]] + ask[1];
    scene.askMoments.set(leg, [...(scene.askMoments.get(leg) ?? []), at]);
  }
  scene.packetAt = (at) => {
    if (at < 0 || at >= n) return -1;
    return scene.kind[at] === FRAMES
      ? legs.trip[scene.members[scene.starts[at]]]
      : scene.asks[scene.subject[at]][0];
  };
  scene.legAt = (at) => {
    if (at < 0 || at >= n) return -1;
    if (scene.kind[at] === FRAMES) return scene.members[scene.starts[at]];
    const ask = scene.asks[scene.subject[at]];
    return trips.first[ask[0]] + ask[1];
  };
  scene.passedOn = (leg) => made.has(leg);
  waiting(scene, made, placeOf);
}

const rank = (item) => item[1];

// Frames that wait in a node: from the moment after they came to the one in which they go on.
function waiting(scene, made, placeOf) {
  const waits = [];
  for (const [leg, group] of made) {
    if (leg < 0) continue;
    const from = scene.momentOf[leg] + 1,
      to = placeOf[group];
    if (to > from) waits.push([from, to, leg]);
  }
  waits.sort((a, b) => a[0] - b[0]);
  const marks = [];
  let alive = [],
    next = 0;
  for (let at = 0; at <= scene.moments; at += STRIDE) {
    while (next < waits.length && waits[next][0] <= at) alive.push(waits[next++]);
    alive = alive.filter((wait) => wait[1] > at);
    marks.push([alive.slice(), next]);
  }
  scene.waitingAt = (at) => {
    if (at < 0 || at >= scene.moments) return [];
    const [held, from] = marks[Math.floor(at / STRIDE)];
    const out = held.filter((wait) => wait[1] > at);
    for (let place = from; place < waits.length && waits[place][0] <= at; place++) {
      if (waits[place][1] > at) out.push(waits[place]);
    }
    return out.map((wait) => wait[2]);
  };
}

// Frame numbers of a packet, for Wireshark's display filter: that of the frames themselves.
export function numbersOf(scene, from, to) {
  const numbers = new Set();
  for (let leg = from; leg <= to; leg++) {
    if (scene.legs.sent[leg]) numbers.add(scene.legs.sent[leg]);
    if (scene.legs.received[leg]) numbers.add(scene.legs.received[leg]);
  }
  return [...numbers].sort((a, b) => a - b);
}

export function displayFilter(numbers) {
  if (!numbers.length) return "";
  return numbers.length === 1
    ? `frame.number == ${numbers[0]}`
    : `frame.number in {${ranges(numbers).join(", ")}}`;
}

function ranges(numbers) {
  const out = [];
  for (let at = 0; at < numbers.length; at++) {
    let last = at;
    while (last + 1 < numbers.length && numbers[last + 1] === numbers[last] + 1) last++;
    out.push(last > at ? `${numbers[at]}..${numbers[last]}` : `${numbers[at]}`);
    at = last;
  }
  return out;
}

// A packet's protocol in a few letters, as one writes it.
const WRITTEN = { fragment: "IP", icmp: "ICMP", nd: "NDP", other: "…" };
export function letters(scene, packet) {
  const [first] = scene.trips.kind[packet].split("-");
  return WRITTEN[first] ?? first.toUpperCase().slice(0, 6);
}

export function bezier(curve, backwards, part) {
  const u = backwards ? 1 - part : part,
    v = 1 - u;
  const a = v * v * v,
    b = 3 * v * v * u,
    c = 3 * v * u * u,
    d = u * u * u;
  return [
    a * curve[0] + b * curve[2] + c * curve[4] + d * curve[6],
    a * curve[1] + b * curve[3] + c * curve[5] + d * curve[7],
  ];
}
