#!/usr/bin/env python3
"""The little of curl that the pages use, for machines without it: -s -H -d -X --retry …, a URL."""

import sys
import time
import urllib.error
import urllib.request

headers, data, method, url, tries = {}, None, None, "", 1
words = iter(sys.argv[1:])
for word in words:
    if word == "-H":
        name, _, value = next(words).partition(":")
        headers[name.strip()] = value.strip()
    elif word in ("-d", "--data"):
        data = next(words).encode()
    elif word == "-X":
        method = next(words)
    elif word == "--retry":
        tries = int(next(words)) + 1
    elif word == "--retry-delay":
        next(words)
    elif not word.startswith("-"):
        url = word
for attempt in range(tries):
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, data, headers, method=method)
        ) as got:
            sys.stdout.buffer.write(got.read())
        break
    except urllib.error.HTTPError as error:
        sys.stdout.buffer.write(error.read())
        break
    except OSError:
        if attempt == tries - 1:
            sys.exit(7)
        time.sleep(0.5)
