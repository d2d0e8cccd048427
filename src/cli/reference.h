// The commands and flags in docs/cli.md, written from the program itself.
#pragma once

#include <string>

#include "base/error.h"
#include "cli/command_tree.h"

namespace sterna::cli {

// `text` is the document. What stands between "<!-- usage: versions list -->" and "<!-- end -->" becomes the
// heading, purpose and flags of that command; "<!-- usage -->" means the program itself, and
// "<!-- usage: serve without flags -->" leaves the flags to another document. Fails with bad_usage for a
// command that is not there, and for one that the document does not have.
Result<std::string> with_reference(const std::string& text, const CommandNode& root);

}  // namespace sterna::cli
