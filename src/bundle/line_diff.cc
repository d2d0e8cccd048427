#include "bundle/line_diff.h"

#include <algorithm>
#include <span>

namespace sterna::bundle {
namespace {

using Part = std::span<const std::string_view>;

constexpr std::size_t kShortLine = 64;  // bytes

// Row d of the search: how far each diagonal k = -d-1..d+1 has come with d edits less one.
class Row {
 public:
  explicit Row(int d) : first_(-d - 1), reach_(static_cast<std::size_t>(2 * d + 3), 0) {}
  int& operator[](int k) { return reach_[static_cast<std::size_t>(k - first_)]; }
  int operator[](int k) const { return reach_[static_cast<std::size_t>(k - first_)]; }

 private:
  int first_;
  std::vector<int> reach_;
};

class Search {
 public:
  Search(Part from, Part to, Effort& effort) : from_(from), to_(to), effort_(effort) {}

  // In reverse order; empty when there are too many.
  std::vector<Edit> run() {
    const int most = std::min(kMaxEdits, width() + height());
    rows_.emplace_back(0);
    for (int d = 0; d <= most && effort_.left > 0; ++d) {
      effort_.spend(static_cast<std::size_t>(d) + 1);
      Row next(d + 1);
      for (int k = -d; k <= d; k += 2) {
        const int x = slide(start(rows_.back(), d, k), k);
        next[k] = x;
        if (x >= width() && k == width() - height()) return back(d);
      }
      rows_.push_back(std::move(next));
    }
    return {};
  }

 private:
  int width() const { return static_cast<int>(from_.size()); }
  int height() const { return static_cast<int>(to_.size()); }

  static bool comes_from_above(const Row& row, int d, int k) {
    return k == -d || (k != d && row[k - 1] < row[k + 1]);
  }
  static int start(const Row& row, int d, int k) {
    return comes_from_above(row, d, k) ? row[k + 1] : row[k - 1] + 1;
  }
  int slide(int x, int k) {
    for (; x < width() && x - k < height() && from_line(x) == to_line(x - k) && effort_.left > 0; ++x)
      effort_.spend(1 + from_line(x).size() / kShortLine);
    return x;
  }

  std::vector<Edit> back(int d) const {
    std::vector<Edit> edits;
    int x = width();
    int y = height();
    for (; d > 0; --d) {
      const Row& row = rows_[static_cast<std::size_t>(d)];
      const int k = x - y;
      const bool comes = comes_from_above(row, d, k);
      const int before = row[comes ? k + 1 : k - 1];
      const int start = comes ? before : before + 1;
      for (; x > start; --x, --y) edits.push_back({' ', from_line(x - 1)});
      edits.push_back(comes ? Edit{'+', to_line(y - 1)} : Edit{'-', from_line(x - 1)});
      x = before;
      y = before - (comes ? k + 1 : k - 1);
    }
    for (; x > 0; --x) edits.push_back({' ', from_line(x - 1)});
    return edits;
  }

  std::string_view from_line(int index) const { return from_[static_cast<std::size_t>(index)]; }
  std::string_view to_line(int index) const { return to_[static_cast<std::size_t>(index)]; }

  Part from_;
  Part to_;
  Effort& effort_;
  std::vector<Row> rows_;
};

std::vector<Edit> replace(Part from, Part to) {
  std::vector<Edit> edits;
  for (const std::string_view line : from) edits.push_back({'-', line});
  for (const std::string_view line : to) edits.push_back({'+', line});
  return edits;
}

}  // namespace

Lines split_lines(std::string_view text) {
  Lines lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::size_t size = end == std::string_view::npos ? text.size() : end + 1;
    lines.push_back(text.substr(0, size));
    text.remove_prefix(size);
  }
  return lines;
}

std::vector<Edit> diff_lines(const Lines& from, const Lines& to, Effort& effort) {
  Part a = from;
  Part b = to;
  const auto [a_at, b_at] = std::ranges::mismatch(a, b);
  const auto head = static_cast<std::size_t>(a_at - a.begin());
  a = a.subspan(head);
  b = b.subspan(head);
  std::size_t tail = 0;
  while (tail < a.size() && tail < b.size() && a[a.size() - 1 - tail] == b[b.size() - 1 - tail]) ++tail;

  std::vector<Edit> edits;
  edits.reserve(head);
  for (std::size_t i = 0; i < head; ++i) edits.push_back({' ', from[i]});
  const Part gone = a.first(a.size() - tail);
  const Part came = b.first(b.size() - tail);
  std::vector<Edit> middle = Search(gone, came, effort).run();
  std::ranges::reverse(middle);
  if (middle.empty()) middle = replace(gone, came);
  edits.insert(edits.end(), middle.begin(), middle.end());
  for (const std::string_view line : a.last(tail)) edits.push_back({' ', line});
  return edits;
}

}  // namespace sterna::bundle
