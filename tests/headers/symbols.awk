# Prints a C program that refers to every function the public headers declare, and writes their names,
# sorted by appearance, to the file named by -v list=. A declaration without FW_API is an error: it would
# compile and then be missing from the shared library.
{
    file = FILENAME
    sub(/.*\//, "", file)
    if (file != last_file) {
        includes = includes "#include <fenwicks/" file ">\n"
        last_file = file
    }
    if ($0 ~ /^[ \t]*#/ || continued) { # a directive, with its continuation lines
        continued = ($0 ~ /\\$/)
        next
    }
    text = text $0 "\n"
}

END {
    while ((at = index(text, "/*")) > 0) {
        rest = substr(text, at + 2)
        end = index(rest, "*/")
        text = substr(text, 1, at - 1) " " substr(rest, end + 2)
    }
    gsub(/extern[ \t\n]*"C"/, "", text)
    n = split(text, parts, /[;{}]/)
    for (i = 1; i <= n; i++) {
        part = parts[i]
        gsub(/[ \t\n]+/, " ", part)
        sub(/^ /, "", part)
        has_api = (part ~ /^FW_API /)
        sub(/^FW_API /, "", part)
        gsub(/__attribute__ *\(\([^)]*\)\)/, "", part)
        if (!match(part, /^[A-Za-z_][A-Za-z0-9_ *]*[ *]fw_[a-z0-9_]+ ?\(/)) {
            if (has_api) {
                print "symbols.awk: cannot read: " part > "/dev/stderr"
                bad = 1
            }
            continue
        }
        if (part ~ /^(typedef|static|return|else|case) /)
            continue
        name = substr(part, 1, RLENGTH)
        sub(/ ?\($/, "", name)
        sub(/.*[ *]/, "", name)
        if (!has_api) {
            print "symbols.awk: " name " is declared without FW_API" > "/dev/stderr"
            bad = 1
        }
        names[++count] = name
        print name > list
    }
    if (bad || count == 0)
        exit 1
    printf "%s#include <stdio.h>\n\n", includes
    print "typedef void (*any_fn)(void);\nstatic const struct {\n    const char *name;\n    any_fn fn;\n} all[] = {"
    for (i = 1; i <= count; i++)
        printf "    {\"%s\", (any_fn)%s},\n", names[i], names[i]
    print "};\n"
    print "int main(void)\n{\n    size_t n = 0;\n    for (const volatile any_fn *p = NULL; n < sizeof all / sizeof *all; n++) {"
    print "        p = &all[n].fn;\n        if (*p == NULL)\n            return fprintf(stderr, \"%s is missing\\n\", all[n].name), 1;\n    }"
    print "    printf(\"%zu public functions\\n\", n);\n    return n > 0 ? 0 : 1;\n}"
}
