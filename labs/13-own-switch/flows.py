# SPDX-License-Identifier: Apache-2.0
from learning import FLOOD, Learning


class Flows(Learning):
    def decide(self, switch, port, source, destination):
        out = super().decide(switch, port, source, destination)
        if out != FLOOD:
            self.flow(switch, 1, out, in_port=port, eth_src=source, eth_dst=destination)
        return out
