// Finds the line in which a program has said why it ended.
#pragma once

#include <string>
#include <string_view>

namespace sterna::native {

// The last line of what it printed, at most 500 bytes of it. Node prints the error somewhere before and its
// own version last: then it is the error, with the place that Node names for it: "/function/a.js:1:
// SyntaxError: ...". Empty when nothing was printed.
std::string last_words_of(std::string_view printed);

}  // namespace sterna::native
