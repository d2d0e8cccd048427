// The files of one function's log: lines appended to numbered segments of bounded size, the oldest removed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/unique_fd.h"

namespace sterna::logs {

inline constexpr std::size_t kSegmentsPerFunction = 4;

struct Segment {
  std::uint64_t number = 0;  // in the file's name; grows
  std::uint64_t bytes = 0;
  WallTime written;  // the last time
};

// Writes the segments in `folder`. One thread.
class SegmentWriter {
 public:
  // Takes up what is there from an earlier run; an unreadable folder counts as empty. `bytes_limit` bounds
  // all segments together.
  SegmentWriter(std::filesystem::path folder, std::uint64_t bytes_limit);

  // Appends whole lines (with line feeds, together at most a segment's size), beginning a new segment first
  // when they would not fit. Fails with io; then a line may be torn, and the next append ends it before it
  // begins its own. Not fsynced.
  Status append(std::string_view lines, WallTime now);

  // Removes the oldest segment, and the folder with the last one.
  void drop_oldest();

  const std::vector<Segment>& segments() const { return segments_; }
  std::uint64_t bytes() const;
  std::uint64_t segment_limit() const { return segment_limit_; }

 private:
  std::filesystem::path path_of(const Segment& segment) const;
  UniqueFd open_newest() const;
  Status begin_segment();
  bool ends_torn() const;

  const std::filesystem::path folder_;
  const std::uint64_t segment_limit_;
  std::vector<Segment> segments_;  // oldest first
  bool torn_ = false;              // the newest segment does not end with a line feed
};

// Hands the whole lines in `folder` to `visit`, newest first, without line feeds, until it answers false.
// Holds one segment in memory. May run beside the writer: a segment that is removed meanwhile is passed over,
// a line that is being written is not seen. No folder means no lines. Fails with io. Any thread.
Status visit_lines_backwards(const std::filesystem::path& folder,
                             const std::function<bool(std::string_view)>& visit);

}  // namespace sterna::logs
