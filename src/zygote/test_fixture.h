// A real zygote with real sandboxes for the tests.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sandbox/egress.h"
#include "zygote/zygote_client.h"

namespace sterna::zygote {

// A worker's ends as the server holds them.
struct TestWorker {
  std::string name;
  UniqueFd socket;
  UniqueFd output;

  // Sends a command of test_worker.cc, waits for its answer; "<gone>" when the worker is.
  std::string ask(const std::string& command) const;
};

// Forks of the zygote, or a program of its own that has threads before it gets its order.
enum class WorkerKind : std::uint8_t { kFork, kProgram };

inline constexpr std::uint32_t kTestUids = 3'900'000;

// ThreadSanitizer has a thread of its own in each process, workers too.
#if __has_feature(thread_sanitizer)
inline constexpr bool kHasThreadOfSanitizer = true;
#else
inline constexpr bool kHasThreadOfSanitizer = false;
#endif

class ZygoteFixture : public ::testing::TestWithParam<WorkerKind> {
 protected:
  void SetUp() override;
  void TearDown() override;

  virtual sandbox::CgroupLayout find_cgroups() const;
  void spawn();  // a zygote in the place of the last one, ready

  sandbox::SandboxPlan plan() const;
  using Secrets = std::map<std::string, std::string>;
  TestWorker start(const std::string& name, const sandbox::SandboxPlan& plan, const Secrets& secrets = {},
                   const std::string& parent = {});
  // And wait for it.
  TestWorker started(const std::string& name, const sandbox::SandboxPlan& plan, const Secrets& secrets = {});

  // A replica of the paused worker, and wait for it.
  TestWorker forked(const std::string& name, const std::string& parent, const sandbox::SandboxPlan& plan);

  // Waits for a report of this kind about the worker, keeping others for later.
  template <class T>
  std::optional<T> await(const std::string& worker,
                         std::chrono::milliseconds patience = std::chrono::seconds(5));

  // What a worker should see open: its three (a program's two), the standard three, and the one that lists.
  static std::string own_fds() { return GetParam() == WorkerKind::kFork ? "0 1 2 3 4 5 6" : "0 1 2 3 5 6"; }

  void await_hello(const TestWorker& worker);
  // Waits until the zygote has so many children, spares included.
  bool await_children(std::size_t count) const;

  std::filesystem::path dir_;
  sandbox::CgroupLayout cgroups_;
  std::optional<ZygoteClient> zygote_;
  std::vector<Report> reports_;
};

// What a worker hears that wants to make a device: Landlock's word, or the kernel's without it.
std::string no_device();

// Drives an EgressStarter as the server's event loop does, until the worker has answered `command`.
std::string ask_with_egress(const TestWorker& worker, sandbox::EgressStarter& egress,
                            const std::string& command);

// Polls `condition` until it holds; false after `patience`.
bool eventually(const std::function<bool()>& condition,
                std::chrono::milliseconds patience = std::chrono::seconds(5));

// The children of a process, by /proc.
std::vector<pid_t> children_of(pid_t pid);

template <class T>
std::optional<T> ZygoteFixture::await(const std::string& worker, std::chrono::milliseconds patience) {
  std::optional<T> found;
  eventually(
      [&] {
        while (true) {
          auto report = zygote_->receive();
          if (!report || !*report) break;
          reports_.push_back(std::move(**report));
        }
        for (auto each = reports_.begin(); each != reports_.end(); ++each) {
          auto* wanted = std::get_if<T>(&*each);
          if (wanted == nullptr || wanted->worker != worker) continue;
          found = std::move(*wanted);
          reports_.erase(each);
          return true;
        }
        return false;
      },
      patience);
  return found;
}

}  // namespace sterna::zygote
