// Finds the line in which a program has said why it ended.
#pragma once

#include <string>
#include <string_view>

namespace sterna {

// The last line of what it printed, at most 500 bytes of it. Node prints the error somewhere before and its
// own version last, Python the error below a trace, npm its own lines below those of the program: then it is
// the error, with the place in the function's code where it was raised: "/function/a.js:1: SyntaxError: ...".
// Empty when nothing was printed.
std::string last_words_of(std::string_view printed);

// "/function/a.py:3": the innermost place in the function's own code that a trace of Node or Python names;
// empty when it names none.
std::string place_in_trace(std::string_view trace);

}  // namespace sterna
