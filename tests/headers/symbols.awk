# Prints a C program that refers to every function and constant the public headers declare, and writes their names,
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
        has_api = (part ~ /^(extern )?FW_API /)
        sub(/^(extern )?FW_API /, "", part)
        gsub(/__attribute__ *\(\([^)]*\)\)/, "", part)
        if (!match(part, /^[A-Za-z_][A-Za-z0-9_ *]*[ *]fw_[a-z0-9_]+ ?\(/)) {
            if (has_api && match(part, /[ *]fw_[a-z0-9_]+ ?$/)) { # a constant
                name = substr(part, RSTART + 1)
                print name > list
                data = data "    &" name ",\n"
            } else if (has_api) {
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
    print "typedef void (*any_fn)(void);"
    print "/* not static: the compiler must then keep every reference */"
    print "extern const struct one {\n    const char *name;\n    any_fn fn;\n} all_functions[];"
    print "const struct one all_functions[] = {"
    for (i = 1; i <= count; i++)
        printf "    {\"%s\", (any_fn)%s},\n", names[i], names[i]
    printf "};\nextern const void *const all_constants[];\n"
    printf "const void *const all_constants[] = {\n%s    all_functions,\n", data
    printf "};\n\nint main(void)\n{\n    printf(\"%%d public functions, the first is %%s\\n\", %d, all_functions[0].name);\n", count
    print "    return all_functions[0].fn == NULL;\n}"
}
