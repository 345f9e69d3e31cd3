// SPDX-License-Identifier: Apache-2.0
// The language of docs/filter.md: from h1 to h2 via s1 not r1 and tcp.syn. Pure: a scene and a text
// in, a predicate over packets out. hoplab/packet_filter is the same in Python; which words there
// are stands there alone (`vocabulary.py`) and comes with the scene.
import { FLOODED, IGNORED, LOST, ROUTED, VANISHED } from "./scene.js";

export class FilterError extends Error {
  constructor(word) {
    super(word);
    this.word = word;
  }
}

const TOKEN = /"([^"]*)"|(<=|>=|==|!=|&&|\|\||[()<>!=])|((?:(?!&&|\|\|)[^\s()<>!="])+)|(")/g;
const DEEPEST = 100; // brackets and nots within each other
const JOINING = { "&&": "and", "||": "or", "!": "not" };
const SIGN = /^(==|=|!=|<|>|<=|>=)$/;
const PUNCTUATION = /^[()<>=!]+$/;
const OPERATOR = /^(and|or|not)$/;

function tokens(text) {
  return Array.from(text.matchAll(TOKEN), ([, quoted, sign, word, open]) => {
    if (open) throw new FilterError(open);
    if (quoted !== undefined) return { quoted };
    const spoken = word?.toLowerCase();
    return { word: JOINING[sign] ?? sign ?? (OPERATOR.test(spoken) ? spoken : word) };
  });
}

// compile("tcp from h1")(packet) is true or false. Throws FilterError with the word that does not
// fit. A line is read to its end before names in it are looked for.
export function compile(text, scene, titleOf) {
  const list = tokens(text);
  const about = describe(scene, titleOf);
  const { fields, relations } = scene.filter;
  let at = 0,
    depth = 0;
  const deeper = (read, word) => {
    if (++depth > DEEPEST) throw new FilterError(word);
    const part = read();
    depth--;
    return part;
  };
  const peek = () => list[at]?.word;
  const either = () => {
    const parts = [both()];
    while (peek() === "or") {
      at++;
      parts.push(both());
    }
    return joined(parts, (tests) => (packet) => tests.some((test) => test(packet)));
  };
  const both = () => {
    const parts = [single()];
    for (;;) {
      if (peek() === "and") at++;
      else if (at >= list.length || peek() === "or" || peek() === ")") break;
      parts.push(single());
    }
    return joined(parts, (tests) => (packet) => tests.every((test) => test(packet)));
  };
  const single = () => {
    const token = list[at++];
    if (!token) throw new FilterError("…");
    if (token.quoted !== undefined) return () => about.says(token.quoted);
    if (token.word === "not") {
      const part = deeper(single, "not");
      return () => {
        const test = part();
        return (packet) => !test(packet);
      };
    }
    if (token.word === "(") {
      const part = deeper(either, "(");
      if (peek() !== ")") throw new FilterError("(");
      at++;
      return part;
    }
    const field = own(fields, token.word);
    if (field && SIGN.test(peek() ?? "")) {
      const sign = list[at++].word,
        value = list[at++];
      if (!value) throw new FilterError(sign);
      return compare(about, field, sign, value.quoted ?? value.word);
    }
    const name = token.word.toLowerCase();
    if (relations.includes(name) && list[at] && !/^(and|or|not|\)|\()$/.test(peek() ?? "x")) {
      if (PUNCTUATION.test(peek() ?? "x")) throw new FilterError(peek());
      const value = list[at++];
      return () => RELATIONS[name](about, value.quoted ?? value.word);
    }
    if (PUNCTUATION.test(token.word) || OPERATOR.test(token.word)) {
      throw new FilterError(token.word);
    }
    return () => word(about, token.word);
  };
  if (!list.length) return () => true;
  const line = either();
  if (at < list.length) throw new FilterError(list[at].word ?? list[at].quoted);
  return line();
}

// Tests that are made later, as one that is.
const joined = (parts, join) =>
  parts.length === 1 ? parts[0] : () => join(parts.map((part) => part()));

// What a table of ours has under a word; "constructor" is in every object, and in none of them
// ours.
const own = (table, word) =>
  Object.hasOwn(table, word.toLowerCase()) ? table[word.toLowerCase()] : undefined;

// What can be asked of a packet, made when it is first asked for.
function describe(scene, titleOf) {
  const { legs, trips } = scene;
  const some = (packet, test) => {
    for (let leg = trips.first[packet]; leg <= scene.lastLeg[packet]; leg++)
      if (test(leg)) return true;
    return false;
  };
  const each = (packet, read) => {
    const out = [];
    for (let leg = trips.first[packet]; leg <= scene.lastLeg[packet]; leg++) out.push(read(leg));
    return out.flat();
  };
  const nodes = (packet) => {
    const all = new Set();
    for (let leg = trips.first[packet]; leg <= scene.lastLeg[packet]; leg++) {
      all.add(scene.nodeAt(legs.tail[leg]));
      if (!(legs.flags[leg] & VANISHED)) all.add(scene.nodeAt(legs.head[leg]));
    }
    return all;
  };
  const touched = new Map();
  const touches = (packet) => touched.get(packet) ?? touched.set(packet, nodes(packet)).get(packet);
  return {
    scene,
    legs,
    trips,
    some,
    each,
    touches,
    says: (text) => (packet) => titleOf(packet).toLowerCase().includes(text.toLowerCase()),
    node: (name) => scene.nodeOf.get(name) ?? -1,
  };
}

const end = (side, column) => (about, value) => {
  const node = about.node(value);
  if (node >= 0) return (packet) => about.trips[side][packet] === node;
  return (packet) => about.trips[column][packet] === value;
};

const RELATIONS = {
  from: end("sender", "src"),
  to: end("target", "dst"),
  via: (about, value) => {
    const node = needs(about, value);
    return (packet) =>
      about.touches(packet).has(node) &&
      about.trips.sender[packet] !== node &&
      about.trips.target[packet] !== node;
  },
  at: (about, value) => {
    const node = needs(about, value);
    return (packet) => about.touches(packet).has(node);
  },
  on: (about, value) => {
    const port = about.scene.portOf.get(value);
    if (port === undefined) throw new FilterError(value);
    return (packet) =>
      about.some(packet, (leg) => about.legs.tail[leg] === port || about.legs.head[leg] === port);
  },
  step: (about, value) => (packet) => {
    const step = about.scene.steps[about.trips.step[packet]];
    return Boolean(step) && (String(step.number) === value || step.key === value.toLowerCase());
  },
};

function needs(about, name) {
  const node = about.node(name);
  if (node < 0) throw new FilterError(name);
  return node;
}

// What can be compared: a value of a packet, or one for each of its frames.
const mac =
  (...columns) =>
  ({ each, scene, legs }, packet) =>
    each(packet, (leg) => columns.map((column) => scene.macs[legs[column][leg]]));
const READINGS = {
  length: ({ trips }, packet) => [trips.length[packet]],
  ttl: ({ each, legs }, packet) => each(packet, (leg) => legs.ttl[leg]).filter(Boolean),
  time: ({ each, legs, scene }, packet) =>
    each(packet, (leg) => (legs.t[leg] * scene.tick_ns) / 1e6).slice(0, 1),
  packet: ({ trips }, packet) => [trips.number[packet]],
  copies: ({ scene, trips }, packet) => [
    scene.lastLeg[packet] - trips.first[packet] + 1 + trips.more[packet],
  ],
  frame_number: ({ each, legs }, packet) =>
    each(packet, (leg) => [legs.sent[leg], legs.received[leg]]).filter(Boolean),
  source: ({ trips }, packet) => [trips.src[packet]],
  destination: ({ trips }, packet) => [trips.dst[packet]],
  address: ({ trips }, packet) => [trips.src[packet], trips.dst[packet]],
  source_mac: mac("src"),
  destination_mac: mac("dst"),
  mac: mac("src", "dst"),
};

function compare(about, [reading, numeric], sign, value) {
  const { number } = about.scene.filter;
  if (numeric && !new RegExp(`^(?:${number})$`).test(value)) throw new FilterError(value);
  if (!numeric && !/^(==|=|!=)$/.test(sign)) throw new FilterError(sign);
  const wanted = numeric ? Number(value) : value.toLowerCase();
  const holds = {
    "==": (a) => a === wanted,
    "=": (a) => a === wanted,
    "!=": (a) => a === wanted,
    "<": (a) => a < wanted,
    ">": (a) => a > wanted,
    "<=": (a) => a <= wanted,
    ">=": (a) => a >= wanted,
  }[sign];
  const any = (packet) =>
    READINGS[reading](about, packet).some((each) =>
      holds(numeric ? each : String(each).toLowerCase()),
    );
  return () => (sign === "!=" ? (packet) => !any(packet) : any);
}

const flag = (bits) => (about) => (packet) =>
  about.some(packet, (leg) => about.legs.flags[leg] & bits);
const STATES = {
  lost: flag(LOST),
  vanished: flag(VANISHED),
  flooded: flag(FLOODED),
  ignored: flag(IGNORED),
  routed: flag(ROUTED),
  ended: (about) => (packet) => Boolean(about.trips.ended[packet]),
  translated: (about) => (packet) => about.trips.translated[packet].length > 0,
  answered: (about) => (packet) => about.trips.answered_by[packet] > 0,
  asked: (about) => {
    const asked = new Set(about.scene.asks.map((ask) => ask[0]));
    return (packet) => asked.has(packet);
  },
};
function word(about, text) {
  const low = text.toLowerCase();
  const span = /^#?(\d+)(?:\.\.#?(\d+))?$/.exec(text);
  if (span) {
    const from = Number(span[1]),
      to = Number(span[2] ?? span[1]);
    return (packet) => about.trips.number[packet] >= from && about.trips.number[packet] <= to;
  }
  if (about.node(text) >= 0) return RELATIONS.at(about, text);
  if (about.scene.portOf.has(text)) return RELATIONS.on(about, text);
  const { states, protocols } = about.scene.filter;
  if (states.includes(low)) return STATES[low](about);
  const parts = low.replace(/^tcp\.flags\./, "tcp.").split(".");
  if (protocols.includes(parts[0])) {
    const words = about.trips.words;
    return (packet) => parts.every((part) => words[packet].split(" ").includes(part));
  }
  if (/^[\d.]+$|:/.test(text)) {
    return (packet) =>
      [about.trips.src[packet], about.trips.dst[packet]].includes(text) ||
      READINGS.mac(about, packet).includes(low);
  }
  if (/\./.test(text) && !/\.\w{2,}$/.test(text)) throw new FilterError(text);
  return about.says(text);
}
