# SPDX-License-Identifier: Apache-2.0
# It floods broadcasts alone, and drops frames for cards that it has not heard.
from moving import Moving


class DropsUnknown(Moving):
    def decide(self, switch, port, source, destination):
        out = super().decide(switch, port, source, destination)
        heard = destination == "ff:ff:ff:ff:ff:ff" or (switch.id, destination) in self.ports
        return out if heard else None
