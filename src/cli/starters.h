// What `sterna init` writes for each template: the files of the folder starters/, built into the program.
#pragma once

#include <span>
#include <string_view>

namespace sterna::cli {

struct StarterFile {
  std::string_view template_name;  // e.g. "python3-http"
  std::string_view path;           // relative, with '/'
  std::string_view text;           // {{name}} and {{template}} stand for those of the function
};

// Sorted by template and path.
std::span<const StarterFile> starter_files();

}  // namespace sterna::cli
