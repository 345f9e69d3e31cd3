# SPDX-License-Identifier: Apache-2.0
# Its flows match the receiver alone: senders hide behind them, and are not learned.
from learning import FLOOD, Learning


class MatchesReceivers(Learning):
    def decide(self, switch, port, source, destination):
        out = super().decide(switch, port, source, destination)
        if out != FLOOD:
            self.flow(switch, 1, out, eth_dst=destination)
        return out
