#include "base/clock.h"

#include <array>
#include <cstdio>

namespace sterna {
namespace {

using std::chrono::milliseconds;

std::unexpected<Error> bad_time() {
  return fail(Code::kInvalid, Component::kGateway, "bad_time",
              "not an RFC 3339 time such as 2026-01-02T03:04:05Z");
}

// Reads exactly `digits` decimal digits at the front of `text` and removes them; -1 when they are not there.
int take_number(std::string_view& text, std::size_t digits) {
  if (text.size() < digits) return -1;
  int value = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(digits);
  return value;
}

bool take_char(std::string_view& text, std::string_view any_of) {
  if (text.empty() || any_of.find(text.front()) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

// Milliseconds of a fraction of 1 to 9 digits; -1 when it is malformed.
int take_fraction(std::string_view& text) {
  int value = 0;
  std::size_t digits = 0;
  while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
    if (digits < 3) value = value * 10 + (text.front() - '0');
    ++digits;
    text.remove_prefix(1);
  }
  if (digits == 0 || digits > 9) return -1;
  for (; digits < 3; ++digits) value *= 10;
  return value;
}

}  // namespace

std::string format_rfc3339(WallTime time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  std::array<char, 40> text{};
  const int length = std::snprintf(
      text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", static_cast<int>(date.year()),
      static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
      static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
      static_cast<int>(clock.seconds().count()), static_cast<int>(clock.subseconds().count()));
  return {text.data(), static_cast<std::size_t>(length)};
}

Result<WallTime> parse_rfc3339(std::string_view text) {
  const int year = take_number(text, 4);
  const bool dash1 = take_char(text, "-");
  const int month = take_number(text, 2);
  const bool dash2 = take_char(text, "-");
  const int day = take_number(text, 2);
  if (year < 0 || month < 1 || day < 1 || !dash1 || !dash2 || !take_char(text, "Tt ")) return bad_time();
  const int hour = take_number(text, 2);
  const bool colon1 = take_char(text, ":");
  const int minute = take_number(text, 2);
  const bool colon2 = take_char(text, ":");
  const int second = take_number(text, 2);
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60 || !colon1 || !colon2) {
    return bad_time();
  }
  int fraction_ms = 0;
  if (take_char(text, ".")) fraction_ms = take_fraction(text);
  if (fraction_ms < 0) return bad_time();

  int offset_minutes = 0;
  if (!take_char(text, "Zz")) {
    const bool negative = !text.empty() && text.front() == '-';
    if (!take_char(text, "+-")) return bad_time();
    const int offset_hour = take_number(text, 2);
    const bool colon = take_char(text, ":");
    const int offset_minute = take_number(text, 2);
    if (offset_hour < 0 || offset_hour > 23 || offset_minute < 0 || offset_minute > 59 || !colon)
      return bad_time();
    offset_minutes = (offset_hour * 60 + offset_minute) * (negative ? -1 : 1);
  }
  const std::chrono::year_month_day date(std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day)));
  if (!text.empty() || !date.ok()) return bad_time();
  return WallTime(std::chrono::sys_days(date).time_since_epoch() + std::chrono::hours(hour) +
                  std::chrono::minutes(minute - offset_minutes) + std::chrono::seconds(second) +
                  milliseconds(fraction_ms));
}

}  // namespace sterna
