# SPDX-License-Identifier: Apache-2.0
"""A certificate authority of the lab's own, for https:// in the lab.

The cast
    `main`   the command line; protocols/certificates.py makes the authority and the certificates

A server proves who it is by a certificate that somebody signed whom the client trusts already. In
the world that is a company in the browser's list; here it is a file. The work is done by the
openssl command: a few lines, and what it made can be looked at with it too.

    python3 apps/lab_ca.py --folder my-ca www.itheima.com
    openssl x509 -in my-ca/www.itheima.com.pem -noout -text
    curl --cacert my-ca/ca.pem https://www.itheima.com/

Whoever has ca.key can pretend to be any server towards those who trust ca.pem: keep it in the lab.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

# With -I or -P Python does not look beside the program for modules; this one's are there.
sys.path.append(os.path.dirname(os.path.realpath(__file__)))
try:
    from protocols import service
    from protocols.certificates import FOLDER, CaError, authority, certificate
    from protocols.command_line import Parser
    from protocols.language import say, spoken
except ImportError as missing:
    import shlex  # imported here, since only this sentence needs it

    folder, program = os.path.split(os.path.abspath(__file__))
    print(
        f"{program} needs the folder protocols beside it ({missing}).\n"
        f'  Next: cp -r "$(dirname "$(hoplab path lab_ca)")"/protocols {shlex.quote(folder)}',
        file=sys.stderr,
    )
    raise SystemExit(2) from None


def main(argv: Sequence[str] | None = None) -> int:
    """Make what is asked for and print where it is."""
    parser = Parser(
        "lab_ca.py",
        say("Make a lab's certificate authority, and certificates signed by it."),
        """  python3 apps/lab_ca.py --folder my-ca
  python3 apps/lab_ca.py --folder my-ca www.itheima.com 10.80.0.80""",
        say("exit codes: 0 made; 2 it could not be made"),
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help=say("of a server; addresses too"))
    parser.add_argument("--folder", metavar="DIR", default=FOLDER, help=say("default %(default)s"))
    args = parser.parse_args(argv)
    try:
        print(spoken(say("trust this: {file}", file=authority(args.folder))))
        if args.names:
            pem, key = certificate(args.folder, args.names)
            print(spoken(say("certificate: {file}", file=pem)))
            print(spoken(say("key: {file}", file=key)))
    except CaError as error:
        service.complain("lab_ca", error.message, error.hint)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
