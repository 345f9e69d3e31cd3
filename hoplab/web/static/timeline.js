// SPDX-License-Identifier: Apache-2.0
// One clock for one run, or for two: which moment of each run is shown at each moment of the clock.
// Two runs are aligned by kind of packet: the second ARP request of client beside the second ARP
// request of client, hop by hop. Where only one of them does something, the other one stands still.

const NONE = -1;

// What a moment does, so that the same can be found in another run.
function labels(scene) {
  const counts = new Map(),
    hops = new Map(),
    named = new Map();
  return Array.from({ length: scene.moments }, (_, moment) => {
    const packet = scene.packetAt(moment);
    if (!named.has(packet)) {
      const name = [
        scene.trips.kind[packet],
        scene.nodes[scene.trips.sender[packet]]?.name,
        scene.nodes[scene.trips.target[packet]]?.name,
      ].join(" ");
      const count = (counts.get(name) ?? 0) + 1;
      counts.set(name, count);
      named.set(packet, `${name} ${count}`);
    }
    const what = `${named.get(packet)} ${scene.kind[moment]}`;
    const hop = (hops.get(what) ?? 0) + 1;
    hops.set(what, hop);
    return `${what} ${hop}`;
  });
}

// Pairs [moment of the first, moment of the second], -1 where one has none.
export function align(first, second) {
  const a = labels(first),
    b = labels(second);
  const inA = new Map(a.map((label, at) => [label, at])),
    inB = new Map(b.map((label, at) => [label, at]));
  const pairs = [];
  let i = 0,
    j = 0;
  while (i < a.length || j < b.length) {
    const other = inB.get(a[i]),
      one = inA.get(b[j]);
    if (i < a.length && j < b.length && a[i] === b[j]) pairs.push([i++, j++]);
    else if (j >= b.length || (i < a.length && (other === undefined || other < j)))
      pairs.push([i++, NONE]);
    else if (i >= a.length || one === undefined || one < i) pairs.push([NONE, j++]);
    else if (other - j <= one - i) pairs.push([NONE, j++]);
    else pairs.push([i++, NONE]);
  }
  return pairs;
}

export class Timeline {
  constructor(scenes) {
    this.pairs = scenes.length === 2 ? align(...scenes) : null;
    this.length = this.pairs ? this.pairs.length : scenes[0].moments;
    if (!this.pairs) return;
    this.held = [0, 1].map((side) => {
      let last = NONE;
      return this.pairs.map((pair) => (last = pair[side] === NONE ? last : pair[side]));
    });
    this.placeOf = [0, 1].map((side) => {
      const places = new Uint32Array(scenes[side].moments);
      this.pairs.forEach((pair, at) => {
        if (pair[side] !== NONE) places[pair[side]] = at;
      });
      return places;
    });
  }

  // A run's own time at a time of the clock: in moments, a whole number where it stands still.
  local(side, at) {
    if (!this.pairs) return at;
    const place = Math.ceil(at - 1e-9) - 1;
    if (place < 0) return 0;
    const moment = this.pairs[place][side];
    return moment === NONE ? this.held[side][place] + 1 : moment + (at - place);
  }

  // The moment of the clock in which a moment of a run is shown.
  place(side, moment) {
    return this.pairs ? this.placeOf[side][moment] : moment;
  }

  // Whether a run does something at a moment of the clock.
  moves(side, place) {
    return !this.pairs || (this.pairs[place]?.[side] ?? NONE) !== NONE;
  }
}
