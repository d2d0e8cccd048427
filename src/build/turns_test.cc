#include "build/turns.h"

#include <gmock/gmock.h>

#include <vector>

namespace sterna::build {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Keys are "SPACE/NUMBER".
std::string space_of(const std::string& key) {
  return key.substr(0, key.find('/'));
}

void add(Turns& turns, const std::vector<std::string>& keys) {
  for (const std::string& key : keys) turns.add(key, space_of(key));
}

// All that may begin now.
std::vector<std::string> begin(Turns& turns) {
  std::vector<std::string> begun;
  while (auto key = turns.take()) begun.push_back(*key);
  return begun;
}

// Ends the build under way and begins the next, until none is left.
std::vector<std::string> one_by_one(Turns& turns) {
  std::vector<std::string> order;
  while (auto key = turns.take()) {
    order.push_back(*key);
    turns.end(space_of(*key));
  }
  return order;
}

TEST(Turns, ASpaceLeavesTheLastPlaceToOthers) {
  Turns turns(3);
  add(turns, {"evil/1", "evil/2", "evil/3", "evil/4"});
  EXPECT_THAT(begin(turns), ElementsAre("evil/1", "evil/2"));
  add(turns, {"good/1", "good/2"});
  EXPECT_THAT(begin(turns), ElementsAre("good/1"));
  EXPECT_EQ(turns.running(), 3U);
  EXPECT_EQ(turns.waiting(), 3U);
}

TEST(Turns, APlaceThatGetsFreeGoesToTheSpaceWithTheFewestBuilds) {
  Turns turns(4);
  add(turns, {"evil/1", "evil/2", "evil/3", "good/1", "good/2"});
  EXPECT_THAT(begin(turns), ElementsAre("evil/1", "good/1", "evil/2"));
}

TEST(Turns, TheLastPlaceIsForSpacesWithoutABuildUnderWay) {
  Turns turns(2);
  add(turns, {"evil/1", "evil/2"});
  EXPECT_THAT(begin(turns), ElementsAre("evil/1"));
  add(turns, {"good/1", "good/2"});
  EXPECT_THAT(begin(turns), ElementsAre("good/1"));
  turns.end("good");
  EXPECT_THAT(begin(turns), ElementsAre("good/2"));
  turns.end("evil");
  EXPECT_THAT(begin(turns), ElementsAre("evil/2"));
}

TEST(Turns, WithOnePlaceSpacesTakeItInTurn) {
  Turns turns(1);
  add(turns, {"evil/1", "evil/2", "evil/3", "good/1", "good/2", "third/1"});
  EXPECT_THAT(one_by_one(turns), ElementsAre("evil/1", "good/1", "third/1", "evil/2", "good/2", "evil/3"));
}

TEST(Turns, WhoComesAgainAndAgainDoesNotPassThoseWhoWait) {
  Turns turns(1);
  add(turns, {"patient/1", "patient/2", "a/1", "b/1"});
  std::vector<std::string> order;
  for (int i = 0; i < 6; ++i) {
    const auto key = turns.take();
    ASSERT_TRUE(key);
    order.push_back(*key);
    turns.end(space_of(*key));
    if (!key->starts_with("patient")) turns.add(space_of(*key) + "/again", space_of(*key));
  }
  EXPECT_THAT(order, ElementsAre("patient/1", "a/1", "b/1", "patient/2", "a/again", "b/again"));
}

TEST(Turns, WhatIsDroppedGetsNoTurn) {
  Turns turns(2);
  add(turns, {"a/1", "a/2", "b/1"});
  turns.drop("a/1");
  turns.drop("unknown/1");
  EXPECT_THAT(begin(turns), ElementsAre("a/2", "b/1"));
  turns.drop("a/2");
  EXPECT_EQ(turns.running(), 2U) << "it is under way, and keeps its place until it ends";
  turns.end("a");
  EXPECT_EQ(turns.running(), 1U);
  turns.clear();
  EXPECT_THAT(begin(turns), IsEmpty());
}

}  // namespace
}  // namespace sterna::build
