#!/bin/busybox sh
# The page: counts a visit in redis, which it finds by that name, and says which task answers.
answer=$(printf 'INCR visits\r\nQUIT\r\n' | busybox timeout 2 busybox nc redis 6379 | busybox tr -d '\r')
count=${answer%%
*}
case $count in
:*) printf 'Content-Type: text/plain\r\n\r\nvisit %s, answered by %s on %s\n' "${count#:}" "$TASK" "$NODE" ;;
*) printf 'Status: 503 Service Unavailable\r\nContent-Type: text/plain\r\n\r\nredis does not answer\n' ;;
esac
