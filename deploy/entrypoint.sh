#!/bin/sh
# Files that the API and the workers share stay writable for their common group.
umask 002
exec node /app/bin/maestro "$@"
