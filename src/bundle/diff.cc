#include "bundle/diff.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/secret.h"
#include "bundle/line_diff.h"

namespace sterna::bundle {
namespace {

constexpr std::size_t kContext = 3;

bool changes(const Edit& edit) {
  return edit.op != ' ';
}

// One past the last edit of the hunk that begins at the change `at`: the next change is further away than two
// contexts.
std::size_t end_of_hunk(const std::vector<Edit>& edits, std::size_t at) {
  std::size_t last = at;
  for (std::size_t i = at; i < edits.size() && i <= last + 2 * kContext + 1; ++i) {
    if (changes(edits[i])) last = i;
  }
  return std::min(edits.size(), last + 1 + kContext);
}

struct Place {
  std::size_t from = 0;  // lines passed
  std::size_t to = 0;

  void pass(const Edit& edit) {
    if (edit.op != '+') ++from;
    if (edit.op != '-') ++to;
  }
};

// "3,4": where lines are, counted from 1; an empty range names the line before it.
std::string range_of(std::size_t before, std::size_t after) {
  const std::size_t count = after - before;
  return fmt::format("{},{}", count == 0 ? before : before + 1, count);
}

void append_line(std::string& out, const Edit& edit) {
  out += edit.op;
  out += edit.line;
  if (!edit.line.ends_with('\n')) out += "\n\\ No newline at end of file\n";
}

bool is_shown(std::string_view content) {
  return content.size() <= kMaxDiffFile && api::is_variable_text(content);
}

// Takes lines and comparisons from `effort`.
std::string unified_diff(std::string_view path, std::string_view from, std::string_view to, Effort& effort) {
  const Lines from_lines = split_lines(from);
  const Lines to_lines = split_lines(to);
  effort.spend(from_lines.size() + to_lines.size());
  const std::vector<Edit> edits = diff_lines(from_lines, to_lines, effort);
  std::string out;
  Place place;
  std::size_t passed = 0;
  while (true) {
    const auto next = std::find_if(edits.begin() + static_cast<std::ptrdiff_t>(passed), edits.end(), changes);
    if (next == edits.end()) return out;
    const auto change = static_cast<std::size_t>(next - edits.begin());
    const std::size_t begin = std::max(passed, change - std::min(change, kContext));
    for (; passed < begin; ++passed) place.pass(edits[passed]);
    const Place before = place;
    std::string body;
    for (const std::size_t end = end_of_hunk(edits, change); passed < end; ++passed) {
      place.pass(edits[passed]);
      append_line(body, edits[passed]);
    }
    if (out.empty()) out = fmt::format("--- a/{}\n+++ b/{}\n", path, path);
    out += fmt::format("@@ -{} +{} @@\n{}", range_of(before.from, place.from), range_of(before.to, place.to),
                       body);
  }
}

class Comparison {
 public:
  explicit Comparison(std::int64_t max_steps) : effort_{.left = max_steps} {}

  // At most one of them is null.
  void note(const File* from, const File* to) {
    const File* const either = from != nullptr ? from : to;
    if (either == nullptr) return;
    if (from != nullptr && to != nullptr && *from == *to) return;
    FileChange change;
    change.path = either->path;
    if (from != nullptr) change.from_bytes = from->content.size();
    if (to != nullptr) change.to_bytes = to->content.size();
    if (from == nullptr) {
      change.kind = FileChange::Kind::kAdded;
    } else if (to == nullptr) {
      change.kind = FileChange::Kind::kRemoved;
    } else if (from->content == to->content) {
      change.kind = FileChange::Kind::kMode;
    }
    show(change, from == nullptr ? std::string_view() : from->content,
         to == nullptr ? std::string_view() : to->content);
    diff_.files.push_back(std::move(change));
  }
  BundleDiff take() { return std::move(diff_); }

 private:
  void show(FileChange& change, std::string_view from, std::string_view to) {
    if (from.size() > kMaxDiffFile || to.size() > kMaxDiffFile) diff_.truncated = true;
    if (effort_.left <= 0) diff_.truncated = true;
    if (effort_.left <= 0 || !is_shown(from) || !is_shown(to)) return;
    std::string text = unified_diff(change.path, from, to, effort_);
    if (shown_ + text.size() > kMaxDiffBytes) {
      diff_.truncated = true;
      return;
    }
    shown_ += text.size();
    change.diff = std::move(text);
  }

  BundleDiff diff_;
  std::size_t shown_ = 0;
  Effort effort_;
};

}  // namespace

std::string_view to_string(FileChange::Kind kind) {
  switch (kind) {
    case FileChange::Kind::kAdded:
      return "added";
    case FileChange::Kind::kRemoved:
      return "removed";
    case FileChange::Kind::kChanged:
      return "changed";
    case FileChange::Kind::kMode:
      return "mode";
  }
  return "changed";
}

std::string unified_diff(std::string_view path, std::string_view from, std::string_view to) {
  Effort effort{.left = kMaxDiffSteps};
  return unified_diff(path, from, to, effort);
}

BundleDiff compare(const Files& from, const Files& to, std::int64_t max_steps) {
  Comparison comparison(max_steps);
  auto a = from.begin();
  auto b = to.begin();
  while (a != from.end() || b != to.end()) {
    const bool only_a = b == to.end() || (a != from.end() && a->path < b->path);
    const bool only_b = a == from.end() || (b != to.end() && b->path < a->path);
    comparison.note(only_b ? nullptr : &*a, only_a ? nullptr : &*b);
    if (!only_b) ++a;
    if (!only_a) ++b;
  }
  return comparison.take();
}

}  // namespace sterna::bundle
