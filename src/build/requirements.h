// requirements.txt, as far as a build must understand it. Internal to build/.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sterna::build {

struct Requirements {
  bool any = false;     // it names at least one package
  bool hashes = false;  // with --hash: then all must have one
  bool local = false;   // it leads to other files of the bundle
};
Requirements read_requirements(std::string_view text);

// A requirements file as text without a mark at its beginning, which pip reads UTF-16 by, too.
std::string decoded(std::string_view bytes);

// With `./x` for `-e ./x`: what stays where it is, to be edited, cannot be installed beside the code. Lines
// keep their numbers.
std::string without_editables(std::string_view text);

// What it includes by -r and -c, as written there.
std::vector<std::string> included_files(std::string_view text);

// The number of the line, from 1, that asks for `package` (names compare as PEP 503 says); 0 when none does.
int line_of_requirement(std::string_view text, std::string_view package);

}  // namespace sterna::build
