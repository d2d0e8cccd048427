// sterna invocations tail: new invocations of a function, and what becomes of them, as it happens.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <thread>

#include "cli/commands.h"
#include "cli/invocation.h"
#include "cli/seen_invocations.h"
#include "cli/text.h"

namespace sterna::cli {
namespace {

using api::Json;

constexpr std::size_t kPageItems = 100;
constexpr int kMaxPages = 20;            // a look reads at most 2000 new ones
constexpr std::size_t kMaxLookups = 50;  // a look asks for at most so many that have left the newest pages

// The time of the latest change that the invocation tells of.
std::string time_of(const Json& invocation) {
  for (const char* field : {"ended_at", "started_at", "created_at"}) {
    if (auto time = cell(invocation, field); time != "-") return time;
  }
  return "-";
}

std::string line_of(const Json& invocation) {
  std::string line =
      fmt::format("{} {} {}", time_of(invocation), cell(invocation, "id"), standing_of(invocation));
  if (auto status = cell(invocation, "status_code"); status != "-") line += ", status " + status;
  if (auto attempts = attempts_of(invocation); attempts > 0) line += fmt::format(", attempts {}", attempts);
  if (auto delivery = delivery_of(invocation); delivery != "-" && delivery != "none") {
    line += ", callback " + delivery;
  }
  return line;
}

class Tail {
 public:
  Tail(const Target& target, std::string path) : api_(target), path_(std::move(path)), json_(target.json) {}

  // Shows the `last` newest ones, oldest first.
  Status begin(std::size_t last) {
    auto page = api_.page(path_, std::max(kPageItems, last), {});
    if (!page) return std::unexpected(page.error());
    for (const auto& item : page->items) seen_.note(item);
    const auto shown = static_cast<std::ptrdiff_t>(std::min(last, page->items.size()));
    std::vector<Json> lines(page->items.begin(), page->items.begin() + shown);
    show(lines);
    return {};
  }

  // Shows what has changed since the last look.
  Status look() {
    seen_.begin_round();
    std::vector<Json> changed;
    if (auto read = read_newest(changed); !read) return read;
    if (auto read = read_unnoted(changed); !read) return read;
    show(changed);
    return {};
  }

 private:
  // Reads the list from its newest on until it reaches what it knows.
  Status read_newest(std::vector<Json>& changed) {
    std::string cursor;
    bool reached = false;
    for (int pages = 0; !reached && pages < kMaxPages; ++pages) {
      auto page = api_.page(path_, kPageItems, cursor);
      if (!page) return std::unexpected(page.error());
      for (const auto& item : page->items) {
        reached = reached || seen_.knows(cell(item, "id"));
        if (seen_.note(item)) changed.push_back(item);
      }
      cursor = page->next_cursor;
      reached = reached || cursor.empty();
    }
    if (!reached) print_to_stderr("sterna: too many new invocations at once; some are not shown\n");
    return {};
  }

  Status read_unnoted(std::vector<Json>& changed) {
    for (const auto& id : seen_.unnoted(kMaxLookups)) {
      auto item = api_.get(fmt::format("{}/{}", path_, id));
      if (!item && item.error().code != Code::kNotFound) return std::unexpected(item.error());
      if (!item) {
        seen_.forget(id);
      } else if (seen_.note(*item)) {
        changed.push_back(std::move(*item));
      }
    }
    return {};
  }

  void show(std::vector<Json>& items) const {
    std::ranges::reverse(items);
    for (const auto& item : items) print((json_ ? api::dump(item) : line_of(item)) + '\n');
    std::fflush(stdout);
  }

  Api api_;
  const std::string path_;
  const bool json_;
  SeenInvocations seen_;
};

}  // namespace

Result<int> tail_invocations(const Target& target, const TailArgs& args) {
  auto path = function_path(target, args.name);
  if (!path) return std::unexpected(path.error());
  Tail tail(target, *path + "/invocations");
  if (auto begun = tail.begin(args.last); !begun) return std::unexpected(begun.error());
  while (true) {
    std::this_thread::sleep_for(args.interval);
    if (auto looked = tail.look(); !looked) return std::unexpected(looked.error());
  }
}

}  // namespace sterna::cli
