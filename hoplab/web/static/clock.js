// SPDX-License-Identifier: Apache-2.0
// Display time, counted in moments. At `at` the moment ceil(at) - 1 is in flight, and it is over
// when `at` is whole; 0 is before the first one.

export class Clock {
  constructor(end) {
    Object.assign(this, {
      end,
      at: 0,
      speed: 1,
      playing: false,
      until: null,
      last: 0,
      listeners: [],
    });
    this.only = null; // moments to play, in order; null for all
    this.waits = false; // at the end, for more to come, until somebody pauses
    this.tick = this.tick.bind(this);
  }

  hear(listener) {
    this.listeners.push(listener);
  }

  notify() {
    for (const listener of this.listeners) listener(this);
  }

  set(at) {
    this.at = Math.max(0, Math.min(this.end, at));
    this.notify();
  }

  get moment() {
    return Math.ceil(this.at - 1e-9) - 1;
  }

  play(until = null) {
    if (until === null && this.at >= this.end && !this.waits) this.at = 0;
    this.until = until;
    if (!this.playing) {
      this.playing = true;
      this.last = 0;
      requestAnimationFrame(this.tick);
    }
    this.notify();
  }

  pause() {
    if (!this.playing) return;
    this.playing = this.waits = false;
    this.until = null;
    this.notify();
  }

  tick(now) {
    if (!this.playing) return;
    if (this.last) this.advance((Math.min(100, now - this.last) / 1000) * this.speed);
    this.last = now;
    const end = Math.min(this.end, this.until ?? Infinity);
    if (this.at >= end) {
      this.at = end;
      this.playing = this.waits;
      this.until = null;
    }
    this.notify();
    if (this.playing) requestAnimationFrame(this.tick);
  }

  // Followed moments alone are played: from the end of one to the start of the next there is
  // nothing.
  advance(moments) {
    this.at += moments;
    if (!this.only || !this.only.length) return;
    const here = Math.ceil(this.at - 1e-9) - 1;
    const next = this.only.find((moment) => moment >= here);
    if (next === undefined)
      ((this.at = Math.min(this.at, (this.only[this.only.length - 1] ?? 0) + 1)),
        (this.until = this.at));
    else if (next > here) this.at = next + 1e-6;
  }

  // To the end of the next moment, or of the one before; with `follow`, of the followed ones. A
  // step while another is on its way ends that one at once: each press of a key counts.
  step(by) {
    if (by > 0 && this.until !== null)
      this.at = this.until - this.at <= 1 ? this.until : Math.ceil(this.at);
    const whole = this.moment;
    const all = this.only;
    let to;
    if (all && all.length) {
      const later = all.filter((moment) => moment > whole),
        earlier = all.filter((moment) => moment < whole);
      to = by > 0 ? (later[0] ?? whole) + 1 : (earlier[earlier.length - 1] ?? -1) + 1;
    } else to = by > 0 ? Math.floor(this.at + 1e-9) + 1 : Math.ceil(this.at - 1e-9) - 1;
    this.pause();
    if (by > 0 && to <= this.end) {
      this.at = Math.max(this.at, to - 1);
      this.play(to);
    } else this.set(to);
  }
}
