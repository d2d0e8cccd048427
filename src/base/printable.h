// Text that others wrote, as it may stand in a status, a log line, or on a terminal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sterna {

enum class LineFeeds : std::uint8_t { kKept, kReplaced };

// Control characters (C0 but tab and line feed, DEL, C1, those that turn the direction of writing) and bytes
// that are no UTF-8 are shown escaped ("\x1b", "\u202e"), so that they cannot move the cursor, clear the
// screen, or forge lines. The CR of a line end is left out; line feeds stay, or become spaces. What is longer
// than `limit` bytes is cut between characters, and ends in "..." then.
std::string printable(std::string_view text, std::size_t limit = std::string::npos,
                      LineFeeds line_feeds = LineFeeds::kKept);

}  // namespace sterna
