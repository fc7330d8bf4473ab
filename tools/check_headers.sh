#!/bin/sh
# check_headers.sh -- each public header compiles alone, as C11 and as C++11.
set -eu
cd "$(dirname "$0")/.."
status=0
for header in include/winnow.h include/winnow/*.h; do
    name=${header#include/}
    for how in "gcc -std=c11 -x c" "g++ -std=c++11 -x c++"; do
        if ! printf '#include <%s>\nint main(void) { return 0; }\n' "$name" |
            $how -pedantic -Wall -Wextra -Werror -Iinclude -fsyntax-only -; then
            echo "$header does not compile alone with: $how"
            status=1
        fi
    done
done
exit $status
