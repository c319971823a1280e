# Writes the device sources as string literals.
function(literal file result)
  file(READ ${DEVICE}/${file} text)
  set(${result} "R\"device(${text})device\"" PARENT_SCOPE)
endfunction()

separate_arguments(HEADERS UNIX_COMMAND "${HEADERS}")
literal(program.cu program)
set(names "")
set(bodies "")
set(count 0)
foreach(header IN LISTS HEADERS)
  literal(${header} text)
  string(APPEND names "\"${header}\", ")
  string(APPEND bodies "${text},\n")
  math(EXPR count "${count} + 1")
endforeach()
file(WRITE ${OUTPUT}.new "// Generated from the files of device/.
#pragma once
namespace sn {
inline const char *const kProgram = ${program};
inline constexpr int kHeaderCount = ${count};
inline const char *const kHeaderNames[] = {${names}};
inline const char *const kHeaders[] = {${bodies}};
}  // namespace sn
")
file(RENAME ${OUTPUT}.new ${OUTPUT})
