#include "callback/retry_after.h"

#include <curl/curl.h>

#include <algorithm>
#include <string>

#include "base/number.h"

namespace sterna::callback {
namespace {

constexpr std::chrono::hours kLongest{24 * 365};  // keeps sums of times far from overflow

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

}  // namespace

std::optional<Duration> parse_retry_after(std::string_view value, WallTime now) {
  while (value.starts_with(' ') || value.starts_with('\t')) value.remove_prefix(1);
  while (value.ends_with(' ') || value.ends_with('\t')) value.remove_suffix(1);
  if (value.empty()) return std::nullopt;

  if (std::ranges::all_of(value, is_digit)) {
    const auto seconds = parse_number<std::int64_t>(value);
    if (!seconds) return kLongest;  // more digits than fit
    return std::min<Duration>(kLongest,
                              std::chrono::seconds(std::min<std::int64_t>(*seconds, 1'000'000'000)));
  }
  // All three forms begin with the name of a day; curl's reader alone would take a lot more for dates.
  if (!is_letter(value.front()) || value.size() > 64) return std::nullopt;
  const time_t date = curl_getdate(std::string(value).c_str(), nullptr);
  if (date < 0) return std::nullopt;
  const auto wait = std::chrono::seconds(date) - now.time_since_epoch();
  return std::clamp<Duration>(std::min<std::chrono::milliseconds>(wait, kLongest), Duration::zero(),
                              kLongest);
}

}  // namespace sterna::callback
