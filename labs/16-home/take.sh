#!/bin/sh
# udhcpc found an address: put it on the card, and the gateway into the table of routes.
case "$1" in
bound | renew)
    ip address replace "$ip/$mask" dev "$interface"
    ip route replace default via "$router"
    ;;
esac
