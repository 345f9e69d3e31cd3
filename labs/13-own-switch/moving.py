# SPDX-License-Identifier: Apache-2.0
from flows import Flows


class Moving(Flows):
    def decide(self, switch, port, source, destination):
        before = self.ports.get((switch.id, source))
        if before not in (None, port):
            self.forget(switch, eth_dst=source)
            self.forget(switch, eth_src=source)
        return super().decide(switch, port, source, destination)
